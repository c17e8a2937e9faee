"""What a check of a policy found, as text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping

from analysis import words
from analysis.types import Json

COLUMNS = 100


def render(found: Mapping[str, Json], file: str) -> str:
    """
    Return the findings of `webhook.checking.check` as text.

    The first line says the file, the policy and whether it is well; then problems, what is left out, and per
    question its queries, its sides and what could be proved how soon.
    """
    label = f" ({found['policy']})" if found["policy"] else ""
    count = len(found["problems"])
    verdict = "ok" if found["ok"] else f"{count} problem{'s' if count != 1 else ''}"
    rows = [f"{file}{label}: {verdict}"]
    rows += _listed("problem", found["problems"])
    rows += _listed("left out", found["left_out"])
    rows += _listed("note", found["notes"])
    rows += _listed("fix", found["fixes"])
    rows += _listed("has data", [_preset(one) for one in found["presets"]])
    source = found["source"]
    if source and not source["fault"]:
        rows += _wrapped("source", _cadence(source))
        rows += _listed("warning", source["warnings"])
    for query in found["queries"]:
        rows += _query(query)
    for question in found["questions"]:
        rows += _question(question)
    return "\n".join(rows)


def _preset(one: Mapping[str, Json]) -> str:
    return f"preset {one['preset']}: {words.count(one['series'])} series of {one['metric']}"


def _cadence(source: Mapping[str, Json]) -> str:
    read = f"{words.count(source['window']['looks'])} looks read"
    if source["scrape_seconds"] is None:
        return f"nothing to measure the scrape interval on; {read}"
    scrape, look = words.duration(source["scrape_seconds"]), words.duration(source["look_seconds"])
    return f"scraped every {scrape}, so a look lasts {look}; {read}"


def _query(query: Mapping[str, Json]) -> Iterator[str]:
    name = f"{query['question'] or 'release'} {query['field']}"
    if not query["parsed"]:
        yield from _wrapped("query", f"{name}: refused")
        yield f"            {query['expr']}"
        return
    sides = ", ".join(f"{side} {words.count(number)}" for side, number in query["series"].items())
    yield from _wrapped("query", f"{name}: parsed; series: {sides}; {words.count(query['samples'])} samples")


def _question(question: Mapping[str, Json]) -> Iterator[str]:
    yield ""
    yield f"  {question['name']} ({question['kind']})"
    if question["label"]:
        yield from _wrapped("label", f"{question['label']} stands for LABEL")
    for side, counted in question["sides"].items():
        yield from _wrapped(side, _side(counted, visible=question["replicas_visible"]))
    if question["left_out"]:
        left = question["left_out"]
        yield from _wrapped("left out", f"{left['text']} ({left['looks']} of {left['of']} looks)")
    if question["noise"]:
        noise = question["noise"]
        yield from _wrapped(
            "noise", f"dispersion {words.number(noise['phi'])}, from {noise['source']} ({noise['looks']} looks)"
        )
    if question["prospects"]:
        yield from _prospects(question["prospects"])


def _side(counted: Mapping[str, Json], *, visible: bool) -> str:
    if counted["requests"] is None:
        return "no data"
    told = [f"{words.count(counted['requests'])} requests, {words.number(counted['per_second'])} a second"]
    if counted["bad"] is not None:
        told.append(f"{words.count(counted['bad'])} of them bad")
    names = counted["replicas"]
    if names:
        shown = ", ".join(names[:4]) + (" …" if len(names) > 4 else "")
        told.append(f"{len(names)} replica{'s' if len(names) != 1 else ''}: {shown}")
    elif not visible:
        told.append("replicas not visible (weaker proof)")
    return "; ".join(told)


def _prospects(rows: list[Mapping[str, Json]]) -> Iterator[str]:
    yield "    what could be proved how soon, at this traffic (median canary requests and time):"
    yield f"      {'at weight':<12}{'healthy: next step':<22}{'healthy: all traffic':<22}" + "".join(
        f"{f'abort at {harm}x':<20}" for harm in rows[0]["abort"]
    )
    for row in rows:
        waits = [(row["step"], 22), (row["final"], 22), *((wait, 20) for wait in row["abort"].values())]
        cells = "".join(f"{_wait(wait):<{width}}" for wait, width in waits)
        yield f"      {words.share(row['weight']):<12}{cells}".rstrip()


def _wait(wait: Mapping[str, Json]) -> str:
    if wait["seconds"] is None:
        return "never"
    return f"{words.about(wait['canary_requests'])}, {words.duration(wait['seconds'])}"


def _listed(label: str, texts: list[str]) -> Iterator[str]:
    for text in texts:
        yield from _wrapped(label, text)


def _wrapped(label: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        COLUMNS,
        initial_indent=f"  {label:<10}",
        subsequent_indent=" " * 12,
        break_on_hyphens=False,
        break_long_words=False,
    )
