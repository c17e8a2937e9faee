"""``weighbridge token``: a fresh secret, shown once, and its entry for the tokens file."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from webhook.commands.terminal import Exit, fail, say, say_json
from webhook.tokens import Verb, read_tokens


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.epilog = "verbs: ask (verdicts), operate (overrides), read (reports, releases), assign (variants)"
    parser.add_argument("name", help="who will hold it; shown in logs and audits")
    parser.add_argument(
        "--verbs", default="ask", metavar="VERB,…", help="what it may do, separated by commas (default: ask)"
    )
    parser.add_argument(
        "--namespaces", default="*", metavar="GLOB,…", help="where, separated by commas (default: * = everywhere)"
    )
    parser.add_argument("--expires", metavar="TIME", help="until when, such as 2027-01-31T00:00:00Z")
    parser.add_argument("--append", metavar="FILE", help="add the entry to this tokens file (made where absent)")
    parser.add_argument("--json", action="store_true", help="print secret and entry as JSON")


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Make a token; the secret is printed once and kept nowhere."""
    from webhook.auth import new_token

    verbs = _words(options.verbs)
    unknown = [word for word in verbs if word not in list(Verb)]
    if unknown or not verbs:
        known = ", ".join(verb.value for verb in Verb)
        fail(f"--verbs: must be of {known}, got {options.verbs!r}", Exit.USAGE)
    try:
        secret, entry = new_token(options.name, verbs, _words(options.namespaces), options.expires)
    except ValueError as error:
        fail(str(error).removeprefix("/0/"), Exit.USAGE)
    if options.append:
        _append(Path(options.append), entry)
    if options.json:
        say_json({"secret": secret, "entry": entry, "appended_to": options.append})
        return 0
    say(f"secret (shown this once, kept nowhere): {secret}")
    if options.append:
        say(f"its entry was added to {options.append}")
    else:
        say("entry for the tokens file:")
        say(_yaml([entry]).rstrip())
    return 0


def _words(text: str) -> list[str]:
    return [word for part in text.split(",") if (word := part.strip())]


def _append(path: Path, entry: Mapping[str, Any]) -> None:
    """Write the file with one entry more, as one step, and only what the service will read."""
    try:
        before = path.read_bytes() if path.exists() else b""
    except OSError as error:
        fail(f"{path}: cannot be read: {error.strerror}", Exit.NO_INPUT)
    after = before + (b"" if before.endswith(b"\n") or not before else b"\n") + _yaml([entry]).encode()
    if before.lstrip()[:1] == b"[":
        fail(f"{path}: is a list in brackets, where no entry can be appended; add it by hand", Exit.DATA)
    try:
        read_tokens(after)
    except ValueError as error:
        fail(f"{path}: {error}", Exit.DATA)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(after)
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        fail(f"{path}: cannot be written: {error.strerror}", Exit.CANNOT_WRITE)


def _yaml(entries: list[Mapping[str, Any]]) -> str:
    import yaml

    return str(yaml.safe_dump([dict(entry) for entry in entries], sort_keys=False, allow_unicode=True))
