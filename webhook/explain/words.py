"""Sentences about a report as a whole, shared by the text and the page; those about one question: questions.py."""

from __future__ import annotations

from analysis import words
from webhook.explain.flags import flag
from webhook.explain.reading import Document, amount, line, lines, moment, part, parts, when


def verdicts(report: Document) -> tuple[str, str]:
    """Return (what we think, what the caller hears), each in capitals; equal unless the mode changes it."""
    heard = line(report.get("verdict")).upper() or "NO VERDICT"
    return line(report.get("would")).upper() or heard, heard


def headline(report: Document) -> str:
    """Return the verdict in capitals; where the mode changes the answer, both are said."""
    thought, heard = verdicts(report)
    return thought if thought == heard else f"WOULD {thought} (answers {heard})"


def mode(report: Document) -> str | None:
    """Return a warning where the caller hears something else than the verdict, else None."""
    thought, heard = verdicts(report)
    if thought == heard:
        return None
    fault = line(part(report, "detail").get("fault"))
    why = f"a fault of ours ({fault})" if fault else f"mode {line(report.get('mode')) or 'unknown'}"
    return f"would {thought.lower()}; {why} answers {heard.lower()}"


def reason(report: Document) -> str:
    """Return the reason, without the words by which it repeats mode and verdict to callers that see nothing else."""
    thought, _ = verdicts(report)
    return line(report.get("reason")).removeprefix(f"{line(report.get('mode'))}: would {thought.lower()}: ")


def release(report: Document) -> str:
    """Return who is judged: ``shop/checkout, revision 6c54bd4f4b, attempt 1, stage step, held``."""
    who = part(report, "release")
    said = [name(who)]
    cluster, revision = line(who.get("cluster")), line(who.get("revision"))
    stable = line(part(report, "detail").get("stable_revision"))
    if cluster:
        said.append(f"cluster {cluster}")
    if revision:
        said.append(f"revision {revision}" + (f" against {stable}" if stable else ""))
    if amount(who.get("attempt")) != 0:
        said.append(f"attempt {attempt}" if (attempt := line(who.get("attempt"))) else "")
    said.append(f"stage {stage}" if (stage := line(who.get("stage"))) else "")
    said.append(line(who.get("phase")))
    return ", ".join(filter(None, said))


def name(who: Document) -> str:
    """Return ``namespace/name`` of a release."""
    return "/".join(filter(None, (line(who.get("namespace")), line(who.get("name"))))) or "unnamed release"


def window(report: Document) -> str:
    """Return the span judged: its bounds, its length, its looks."""
    span = part(report, "window")
    start, end = moment(span.get("start")), moment(span.get("end"))
    looks = amount(span.get("looks"))
    if looks == 0:
        return f"nothing weighed, at {when(span.get('end'))}" if end else "nothing weighed"
    said = []
    if start and end:
        said = [f"{when(span.get('start'))} to {when(span.get('end'))}"]
        said.append(words.duration((end - start).total_seconds()))
    if looks is not None:
        length = amount(part(report, "detail", "grid").get("length"))
        each = f" of {words.duration(length)}" if length else ""
        said.append(f"{words.count(looks)} {'look' if looks == 1 else 'looks'}{each}")
    return ", ".join(said)


def closing(report: Document) -> str:
    """Return how the attempt ended, on its closing report: ``promoted at … after 12 min``."""
    found = part(report, "detail", "closing") or part(report, "closing")
    said = line(found.get("outcome"))
    seconds = amount(found.get("seconds"))
    said += f" at {when(found.get('time'))}" if said and found.get("time") else ""
    return said + (f" after {words.duration(seconds)}" if said and seconds is not None else "")


def traffic(report: Document) -> str:
    """Return the canary's share of traffic and the next one, as far as known."""
    detail = part(report, "detail")
    now, after = amount(detail.get("weight")), amount(detail.get("next_weight"))
    said = [] if now is None else [f"canary at {words.share(now)}"]
    if after is not None:
        said.append(f"next step {words.share(after)}")
    return ", ".join(said)


def split(report: Document) -> str:
    """Return whether requests were split as configured; empty where nobody named a weight."""
    return line(part(part(report, "detail"), "split").get("reason"))


def left_out(item: Document) -> str:
    """Return one thing that was not used, and why."""
    looks = amount(item.get("looks"))
    said = line(item.get("text")) or line(item.get("code")).replace("_", " ")
    if looks is not None:
        said += f" ({words.count(looks)} {'look' if looks == 1 else 'looks'}"
        said += f", last {when(item.get('last'))})" if item.get("last") else ")"
    question = line(item.get("question"))
    return f"{question}: {said}" if question else said


def override(report: Document) -> str:
    """Return the human's word in force, or an empty text."""
    found = part(report, "detail", "override")
    if not found:
        return ""
    said = f"{line(found.get('actor')) or 'somebody'} said {line(found.get('verdict')) or 'nothing'}"
    said += f" at {when(found.get('at'))}" if found.get("at") else ""
    said += f": {line(found.get('reason'))}" if found.get("reason") else ""
    return said + (f" (until {when(found.get('expires'))})" if found.get("expires") else "")


def event(item: Document) -> tuple[str, str, str, str]:
    """Return time, weight, action and reason of one line of a release's history."""
    weight = amount(item.get("weight"))
    said = "" if weight is None else words.share(weight)
    return when(item.get("time")), said, line(item.get("action")), line(item.get("reason"))


def query(item: Document) -> str:
    """Return what a resolved query was for and how much it returned."""
    series, samples = amount(item.get("series")), amount(item.get("samples"))
    said = " ".join(filter(None, (line(item.get("question")), line(item.get("field"))))) or "query"
    if series is not None:
        said += f", {words.count(series)} series"
    return said if samples is None else f"{said}, {words.count(samples)} samples"


def recompute(report: Document) -> list[str]:
    """Return how to get the same report again from the exported record; nothing where no look was weighed."""
    found, end = line(report.get("id")), line(part(report, "window").get("end"))
    if not found or not amount(part(report, "window").get("looks")):
        return []
    at = f" --at {end}" if end else ""
    return [
        f"save the answer of GET /v1/reports/{found}/record as record.json",
        f"weighbridge judge record.json{at}",
    ]


def timing(report: Document) -> str:
    """Return how long the answer took: our own share apart from the source's."""
    found = part(report, "detail", "timing")
    told = (
        (amount(found.get("own_seconds")), "judging"),
        (amount(found.get("source_seconds")), "waiting for metrics"),
    )
    return ", ".join(f"{words.duration(seconds)} {what}" for seconds, what in told if seconds)


def remarks(report: Document) -> list[str]:
    """Return flags and notes of the whole report; a flag that a question shows as its own is not said again."""
    detail = part(report, "detail")
    shown = {text for item in parts(detail.get("evidence")) for text in lines(item.get("flags"))}
    return [flag(text) for text in lines(detail.get("flags")) if text not in shown] + lines(detail.get("notes"))
