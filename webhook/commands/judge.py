"""
``weighbridge judge FILE``: the same judgement as the service's, from a file, without a source.

The file is a body of ``POST /v1/analysis`` with ``data``, an exported record, or a table in CSV.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.errors import AnalysisError
from analysis.types import Json, Mode, Stage, Verdict
from webhook.commands import files, plotting
from webhook.commands.terminal import Exit, fail, say, say_json
from webhook.errors import WebhookError
from webhook.settings import InvalidSettings, Settings

if TYPE_CHECKING:
    from analysis.trace import Trace

CODES = {Verdict.PROMOTE.value: Exit.PROMOTE, Verdict.HOLD.value: Exit.HOLD, Verdict.ABORT.value: Exit.ABORT}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.epilog = "Ends with 0 for promote, 1 for hold, 2 for abort, 64 and above for errors."
    parser.add_argument(
        "file",
        metavar="FILE",
        help="JSON of POST /v1/analysis with data, an exported record, or CSV (question,side,replica,time,field,value);"
        " - reads the standard input",
    )
    parser.add_argument("--at", metavar="TIME", help="judge what was known then (RFC 3339 or unix seconds)")
    parser.add_argument("--policy", metavar="FILE|NAME", help="policy file, or name of one in --policies")
    parser.add_argument("--policies", metavar="DIR", help="folder of policies (default: WEIGHBRIDGE_POLICIES)")
    parser.add_argument("--stage", choices=[stage.value for stage in Stage], help="what is asked for")
    parser.add_argument("--next-weight", metavar="SHARE", help="share of traffic after the next step, such as 0.25")
    parser.add_argument("--plots", metavar="DIR", help="write the plots of each question there, as SVG and PNG")
    parser.add_argument("--json", action="store_true", help="print the whole report as JSON")


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Judge the file and print the report."""
    raw = files.content(options.file)
    try:
        judged = _judged(raw, options, environ)
        document = judged.document
        if options.plots is not None:
            plotting.write(options.plots, document, judged.traced)
    except (AnalysisError, WebhookError) as error:
        if isinstance(error, InvalidSettings) or error.place.startswith("--"):
            raise
        fail(f"{options.file}: {error}", Exit.DATA)
    if options.json:
        say_json({key: value for key, value in document.items() if key != "inline"})
    else:
        from webhook.explain import text

        say(text.render(document).rstrip("\n"))
    return CODES[document["verdict"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The document of a report, and how to work out the way to it."""

    document: Mapping[str, Json]
    traced: Callable[[], Trace]


def _judged(raw: bytes, options: argparse.Namespace, environ: Mapping[str, str]) -> Judged:
    """Return the report of a file by what it is: a table, a record, or a body."""
    if _is_table(options.file, raw):
        return _asked({"data": _table(options.file, raw)}, options, environ)
    from webhook.schema import scalars

    parsed = scalars.parsed(raw)
    if isinstance(parsed, dict) and "format" in parsed:
        return _recorded(parsed, options, environ)
    return _asked(parsed, options, environ)


def _is_table(path: str, raw: bytes) -> bool:
    return path.lower().endswith(".csv") or raw.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] not in (b"{", b"[", b"")


def _table(path: str, raw: bytes) -> dict[str, Json]:
    from webhook.schema.table import read_table

    try:
        return read_table(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        fail(f"{path}: must be UTF-8, byte {error.start} is not", Exit.DATA)


def _asked(body: Json, options: argparse.Namespace, environ: Mapping[str, str]) -> Judged:
    """Return the report of a body of ``POST /v1/analysis``: the gate itself, with nothing behind it."""
    from webhook.calls import Call
    from webhook.exporting import exported, traced
    from webhook.gate import Gate
    from webhook.policies import Policies
    from webhook.releases import Caller
    from webhook.schema.request import read_ask
    from webhook.stores.memory import MemoryStore

    settings = Settings.from_environ(environ, policies=options.policies, store="memory:")
    ask = read_ask(body, loose=False)
    if ask.data is None:
        fail(f"{options.file}: needs 'data': without it a source would have to be asked", Exit.DATA)
    told: dict[str, Any] = {"at": _time(options.at), "stage": _stage(options), "next_weight": _next_weight(options)}
    policy = _policy(options.policy)
    ask = replace(ask, **{key: value for key, value in (told | {"policy": policy}).items() if value is not None})
    gate = Gate(
        store=MemoryStore(),
        policies=Policies(settings.policies, default=settings.default_policy or None, clock=time.monotonic),
        sources={},
        mode=settings.mode,
        cluster=settings.cluster,
        public_url=settings.public_url,
    )
    document = gate.evaluate(Call(ask=ask, caller=Caller.V1, at=time.time())).document
    return Judged(document=document, traced=lambda: traced(exported(gate, document)))


def _recorded(body: Json, options: argparse.Namespace, environ: Mapping[str, str]) -> Judged:
    """Return the report of an exported record, as the service gave it, or as another policy would."""
    from analysis.judge import judge
    from analysis.trace import trace
    from webhook import answers
    from webhook.documents import Context, report_document
    from webhook.policies import Policies
    from webhook.releases import Attempt
    from webhook.schema.record import read_record

    export = read_record(body)
    settings = Settings.from_environ(environ, policies=options.policies, store="memory:")
    policy, record = export.policy, export.record
    other = _policy(options.policy)
    if other is not None:
        policies = Policies(settings.policies, clock=time.monotonic)
        policy = policies.inline(other) if isinstance(other, Mapping) else policies.find(other)
    at = _time(options.at)
    if at is None:
        at = float(record.ends[-1]) if len(record.ends) else record.grid.start
    stage, next_weight = _demand(export.release, options)
    report = judge(policy, record, at, stage=stage, next_weight=next_weight)
    release = {key: str(export.release.get(key) or "") for key in ("cluster", "namespace", "name", "revision", "phase")}
    attempt = Attempt(
        cluster=release["cluster"],
        namespace=release["namespace"],
        name=release["name"],
        revision=release["revision"],
        attempt=int(export.release.get("attempt") or 0),
        phase=release["phase"],
        started_at=record.grid.start,
        start_source="the record",
    )
    mode = settings.mode or policy.mode or Mode.ENFORCE
    context = Context(
        policy=policy,
        attempt=attempt,
        mode=mode,
        asked_at=at,
        public_url=settings.public_url,
        next_weight=next_weight,
        noise_window=export.window,
        notes=(f"judged offline from {Path(options.file).name}", *policy.notes),
        grid={"start": record.grid.start, "length": record.grid.length},
    )
    said = answers.spoken(answers.heard(report.verdict, mode, degraded=False))
    return Judged(
        document=report_document(report, said, context),
        traced=lambda: trace(policy, record, at, stage=stage, next_weight=next_weight),
    )


def _demand(release: Mapping[str, Json], options: argparse.Namespace) -> tuple[Stage | None, float | None]:
    """Return stage and next weight: those named here, else those of the report that the record came with."""
    from webhook.exporting import demand

    stage, next_weight = _stage(options), _next_weight(options)
    return (stage, next_weight) if stage is not None or next_weight is not None else demand(release)


def _policy(named: str | None) -> str | Mapping[str, Json] | None:
    """Return the content of a policy file, a name as it is, None for none."""
    if named is None:
        return None
    if not Path(named).suffix and not Path(named).exists():
        return named
    from webhook.schema import documents
    from webhook.schema.problems import PolicyProblems

    try:
        found: Mapping[str, Json] = documents.parse(files.content(named), Path(named).name)
    except PolicyProblems as error:
        fail("; ".join(str(problem) for problem in error.problems), Exit.DATA)
    return found


def _time(text: str | None) -> float | None:
    from webhook.schema import scalars

    return None if text is None else scalars.time(text, "--at", loose=True)


def _stage(options: argparse.Namespace) -> Stage | None:
    return None if options.stage is None else Stage(options.stage)


def _next_weight(options: argparse.Namespace) -> float | None:
    from webhook.schema import scalars

    if options.next_weight is None:
        return None
    return scalars.share(options.next_weight, "--next-weight", loose=True)
