"""What commands share that read a past window of a source: their options, and what those stand for."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from analysis.policy import Policy
from webhook.commands import files
from webhook.commands.terminal import Exit, fail
from webhook.ports import Source
from webhook.settings import PREFIX, Settings

DAY_S = 86_400.0
"""How far the past reaches back where nothing is said."""
PATIENCE_S = 60.0
"""Seconds that one reading of the source may take where nothing is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """Settings, source and policy of a command about the past, and the window in unix seconds."""

    settings: Settings
    source: Source
    policy: Policy
    start: float
    end: float


def configure(parser: argparse.ArgumentParser, *, canary: bool) -> None:
    """Add the options; ``canary``: also those of a canary that really was."""
    from webhook.commands.serve import HELP, option_of

    parser.add_argument("--policy", metavar="FILE|NAME", help="policy file, or name of one in --policies")
    parser.add_argument("--start", metavar="TIME", required=canary, help="where the past begins")
    parser.add_argument("--end", metavar="TIME", help="where it ends (default: now)")
    source = parser.add_argument_group("source and policies", "also as variables, like those of weighbridge serve")
    for name in (
        field for field in HELP if field.startswith("prometheus") or field in ("policies", "source_timeout_s")
    ):
        metavar, text = HELP[name]
        source.add_argument(option_of(name), dest=name, metavar=metavar, help=text)
    release = parser.add_argument_group("release", "what the selectors are filled in with")
    release.add_argument("--namespace", default="", metavar="TEXT", help="its namespace")
    release.add_argument("--name", default="", metavar="TEXT", help="its name")
    if canary:
        release.add_argument("--revision", default="", metavar="TEXT", help="revision of the canary")
    release.add_argument("--stable-revision", default="", metavar="TEXT", help="revision of the baseline")
    select = parser.add_argument_group("selectors", "label matchers instead of the policy's")
    select.add_argument("--baseline", metavar="MATCHERS", help='such as \'namespace="shop", track="stable"\'')
    if canary:
        select.add_argument("--canary", metavar="MATCHERS", help='such as \'namespace="shop", track="canary"\'')
    select.add_argument("--replica", action="append", metavar="LABEL", help="label of one replica; may be repeated")


def read(options: argparse.Namespace, environ: Mapping[str, str], now: float) -> Past:
    """
    Return what the options say.

    Raises
    ------
    CommandError, InvalidSettings, AnalysisError, WebhookError
        What is wrong with them.
    """
    from webhook.schema import scalars

    told = {
        name: value
        for name, value in vars(options).items()
        if name.startswith("prometheus") or name in ("policies", "source_timeout_s")
    }
    if told["source_timeout_s"] is None and not environ.get(f"{PREFIX}SOURCE_TIMEOUT"):
        told["source_timeout_s"] = PATIENCE_S  # nobody waits for this verdict
    settings = Settings.from_environ(environ, store="memory:", deadline_s=3600.0, **told)
    if not settings.prometheus:
        fail("--prometheus: is needed: the past is read from a source", Exit.USAGE)
    from webhook.sources.prometheus import PrometheusSource

    source = PrometheusSource(
        settings.prometheus,
        headers=settings.prometheus_headers,
        bearer_file=settings.prometheus_bearer_file,
        basic=settings.prometheus_basic,
        ca_file=settings.prometheus_ca_file,
    )
    until, since = (scalars.time(getattr(options, name), f"--{name}", loose=True) for name in ("end", "start"))
    end = now if until is None else until
    start = end - DAY_S if since is None else since
    if not start < end:
        fail(f"--start: must lie before --end, got {options.start} and {options.end or 'now'}", Exit.USAGE)
    if end > now:
        fail(f"--end: must not lie in the future, got {options.end}", Exit.USAGE)
    return Past(settings=settings, source=source, policy=_policy(options, settings), start=start, end=end)


def seconds(text: str, option: str) -> float:
    """Return the seconds of a duration such as ``5m``; fail in one line that names the option."""
    from webhook.settings_values import duration

    try:
        return duration(text)
    except ValueError as error:
        fail(f"{option}: {error}, got {text!r}", Exit.USAGE)


def _policy(options: argparse.Namespace, settings: Settings) -> Policy:
    from webhook.policies import Policies
    from webhook.schema import documents

    policies = Policies(settings.policies, default=settings.default_policy or None, clock=time.monotonic)
    named = options.policy
    if named is None:
        policy = policies.match(options.namespace, options.name) or policies.default()
    elif Path(named).suffix or Path(named).exists() or named == "-":
        policy = policies.inline(documents.parse(files.content(named), Path(named).name))
    else:
        policy = policies.find(named)
    changes: dict[str, object] = {
        side: text for side in ("baseline", "canary") if (text := getattr(options, side, None)) is not None
    }
    if options.replica:
        changes["replica"] = tuple(options.replica)
    return replace(policy, select=replace(policy.select, **changes)) if changes else policy  # type: ignore[arg-type]
