"""``weighbridge serve``: every setting as an option, then the server."""

from __future__ import annotations

import argparse
import dataclasses
import errno
import os
import socket
import sys
from collections.abc import Mapping

from webhook.commands.terminal import Exit, fail
from webhook.settings import PREFIX, Settings

APPLICATION = "webhook.app:create_app"
DEMONSTRATION = "webhook.demo.serving:create_app"

HELP = {
    "listen": ("HOST:PORT", "where to listen (default 127.0.0.1:8080)"),
    "public_url": ("URL", "where people reach us, for links in answers"),
    "cluster": ("NAME", "name of this cluster, where several share a store"),
    "tls_cert_file": ("FILE", "our certificate with its chain, PEM; read anew when it changes"),
    "tls_key_file": ("FILE", "its key, PEM"),
    "prometheus": ("URL", "base URL of Prometheus or what speaks like it"),
    "prometheus_bearer_file": ("FILE", "file with a bearer token for Prometheus, read anew when it changes"),
    "prometheus_basic": ("USER:PASSWORD", "basic authentication at Prometheus (better as a variable)"),
    "prometheus_headers": ("HEADERS", "headers for Prometheus: 'Name: value; Other: value'"),
    "prometheus_ca_file": ("FILE", "certificates to trust instead of the system's"),
    "policies": ("DIR", "folder of policies, one YAML file each"),
    "default_policy": ("NAME", "policy where nothing else fits (default: preset http_requests_total)"),
    "mode": ("MODE", "shadow, advise or enforce, for every policy"),
    "placebo_every_s": ("TIME", "time between two placebos of a service, or off (default off)"),
    "store": ("STORE", "sqlite:PATH or memory: (default: a file in the state folder)"),
    "retention_s": ("AGE", "age at which reports that close nothing are dropped (default 90d)"),
    "tokens_file": ("FILE", "tokens that may ask; needed to listen beyond this machine"),
    "no_auth": ("", "switch authorisation off, where a mesh does it already"),
    "workers": ("N", "processes (default 1)"),
    "threads": ("N", "threads of a process (default 8)"),
    "deadline_s": ("TIME", "time for a whole verdict (default 8s; Argo Rollouts gives up after 10)"),
    "source_timeout_s": ("TIME", "how much of it the source may take (default 6s)"),
    "body_limit": ("SIZE", "largest request body (default 4MiB)"),
    "log_level": ("LEVEL", "debug, info, warning or error (default info)"),
    "log_format": ("FORMAT", "json or text (default: text on a terminal, else json)"),
}
"""By field of `Settings`: what stands for the value, and one line of help."""


def option_of(field: str) -> str:
    """Return how a field of `Settings` is called on the command line: ``--deadline`` of ``deadline_s``."""
    return "--" + field.removesuffix("_s").replace("_", "-")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add one option for every setting."""
    parser.epilog = (
        f"Each option is also a variable: --log-level is {PREFIX}LOG_LEVEL; the option wins. "
        "With neither a source nor policies, a demonstration is played on the first page."
    )
    for field in dataclasses.fields(Settings):
        metavar, text = HELP[field.name]
        if metavar:
            parser.add_argument(option_of(field.name), dest=field.name, metavar=metavar, help=text)
        else:
            parser.add_argument(option_of(field.name), dest=field.name, action="store_const", const="true", help=text)


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Serve until a signal ends it."""
    given = {field.name: getattr(options, field.name) for field in dataclasses.fields(Settings)}
    if given["log_format"] is None and not environ.get(f"{PREFIX}LOG_FORMAT") and sys.stderr.isatty():
        given["log_format"] = "text"
    settings = Settings.from_environ(environ, **given)
    if settings.policies is not None and not settings.policies.is_dir():
        fail(f"--policies: must be a folder, got {str(settings.policies)!r}", Exit.CONFIG)
    _refuse_taken(settings)
    from webhook import server

    server.serve(DEMONSTRATION if plays_demonstration(settings) else APPLICATION, settings)


def plays_demonstration(settings: Settings) -> bool:
    """
    Return whether nothing is configured that could fill the first page.

    Tokens are a sign of somebody who means it; several workers would each play their own.
    """
    configured = settings.prometheus or settings.policies or settings.tokens_file
    return not configured and settings.on_loopback and settings.workers == 1


def _refuse_taken(settings: Settings) -> None:
    """Fail in one line where the server would try for five seconds to listen, and then end with code 1."""
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        fail(f"--listen: no such host {settings.host!r}: {error.strerror}", Exit.CONFIG)
    family, kind, protocol, _, address = found[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                fail(f"{settings.listen} is in use; choose another with --listen HOST:PORT", Exit.UNAVAILABLE)
            fail(f"cannot listen on {settings.listen}: {os.strerror(error.errno or 0)}", Exit.UNAVAILABLE)
