"""``weighbridge policy``: check policies, alone or against a source; print the schema of a policy file."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from analysis.types import Json
from webhook.commands import files
from webhook.commands.terminal import Exit, fail, say, say_json
from webhook.ports import Source
from webhook.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the two commands below and their options."""
    below = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = below.add_parser(
        "check",
        help="say what is wrong with policies, and what they could prove how soon",
        description="Say what is wrong with policies; with a source also what their queries return, whether the sides "
        "are apart, and what could be proved how soon at the present traffic.",
        epilog="Ends with 0 if all is well, 1 with problems, 64 and above for errors.",
        allow_abbrev=False,
    )
    check.add_argument("path", metavar="DIR|FILE", help="a folder of policies, one file, or - for the standard input")
    check.add_argument("--json", action="store_true", help="print the findings as JSON")
    check.add_argument("--at", metavar="TIME", help="look at the source as it was then")
    _source(check.add_argument_group("source", "also as variables, like those of weighbridge serve"))
    release = check.add_argument_group("release", "what the selectors are filled in with")
    for name, text in (
        ("namespace", "its namespace"),
        ("name", "its name"),
        ("revision", "revision of the canary (Argo's Latest pod template hash)"),
        ("stable-revision", "revision of the baseline (Argo's Stable pod template hash)"),
    ):
        release.add_argument(f"--{name}", metavar="TEXT", help=text)
    schema = below.add_parser("schema", help="print the JSON Schema of a policy file", allow_abbrev=False)
    schema.add_argument("--json", action="store_true", help="it always is")


def _source(group: argparse._ArgumentGroup) -> None:
    from webhook.commands.serve import HELP, option_of

    for name in (field for field in HELP if field.startswith("prometheus")):
        metavar, text = HELP[name]
        group.add_argument(option_of(name), dest=name, metavar=metavar, help=text)


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Run one of the two."""
    if options.action == "schema":
        from webhook.policies import presets
        from webhook.schema import policy as wire

        say_json(wire.json_schema(list(presets())))
        return 0
    return _check(options, environ)


def _check(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    findings = list(_findings(options, environ))
    well = all(found["ok"] for _, found in findings)
    if options.json:
        say_json({"ok": well, "files": [{"file": name, **found} for name, found in findings]})
    else:
        from webhook.commands.findings import render

        say("\n\n".join(render(found, name) for name, found in findings))
    if any((found["source"] or {}).get("fault") for _, found in findings):
        return Exit.UNAVAILABLE
    return 0 if well else 1


def _findings(options: argparse.Namespace, environ: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Json]]]:
    """Yield the name of every file with what was found about its policy."""
    from webhook.checking import check, refused
    from webhook.policies import presets
    from webhook.schema import documents, scalars
    from webhook.schema import policy as wire
    from webhook.schema.problems import PolicyProblems
    from webhook.schema.request import Ask

    told = {name: value for name, value in vars(options).items() if name.startswith("prometheus")}
    settings = Settings.from_environ(environ, store="memory:", **told)
    source = _source_of(settings)
    at = scalars.time(options.at, "--at", loose=True) if options.at else None
    ask = Ask(
        namespace=options.namespace or "",
        name=options.name or "",
        revision=options.revision or "",
        stable_revision=options.stable_revision or "",
        cluster=settings.cluster,
    )
    owner: dict[str, str] = {}
    for path in _paths(options.path):
        name = "standard input" if path == "-" else Path(path).name
        try:
            policy = wire.read(documents.parse(files.content(path), name), presets(), name)
        except PolicyProblems as error:
            yield name, refused(error)
            continue
        began = time.monotonic()
        found = check(
            policy,
            source=source,
            ask=ask,
            at=time.time() if at is None else at,
            left=lambda began=began: settings.source_timeout_s - (time.monotonic() - began),  # type: ignore[misc]
        )
        if owner.setdefault(policy.name, name) != name:
            twice = f"{name}: /name: must be unique, {owner[policy.name]} has the same, got {policy.name!r}"
            found |= {"ok": False, "problems": [twice, *found["problems"]]}
        yield name, found


def _source_of(settings: Settings) -> Source | None:
    """Return the source that the settings name, None if they name none."""
    if not settings.prometheus:
        return None
    from webhook.sources.prometheus import PrometheusSource

    return PrometheusSource(
        settings.prometheus,
        headers=settings.prometheus_headers,
        bearer_file=settings.prometheus_bearer_file,
        basic=settings.prometheus_basic,
        ca_file=settings.prometheus_ca_file,
    )


def _paths(named: str) -> list[str]:
    from webhook.policies import SUFFIXES

    folder = Path(named)
    if named == "-" or not folder.is_dir():
        return [named]
    try:
        found = sorted(
            str(path) for path in folder.iterdir() if path.suffix in SUFFIXES and not path.name.startswith(".")
        )
    except OSError as error:
        fail(f"{named}: cannot be read: {error.strerror}", Exit.NO_INPUT)
    if not found:
        fail(f"{named}: holds no policy ({', '.join('*' + suffix for suffix in SUFFIXES)})", Exit.NO_INPUT)
    return found
