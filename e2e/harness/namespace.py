"""
Run a command where nothing but this machine's loopback exists.

``python -m e2e.harness.namespace COMMAND...`` makes a network namespace of its own, so that controllers which bind
every interface clash with nobody and reach nobody, and ends when the command ends. In it the pods' addresses belong
to the loopback interface, and the names that the shipped manifests use are known.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence

PODS = "10.244.0.0/16"
"""Addresses of pods: all of them are answered by the traffic simulator."""
SERVICE_NAME = "weighbridge.weighbridge.svc"
"""Where the shipped manifests find our service."""
HOSTS = f"127.0.0.1 localhost {SERVICE_NAME} prometheus.monitoring.svc\n"
INSIDE = "--inside"


def isolated() -> bool:
    """Return whether this process sees no network but loopback."""
    return [name for _, name in socket.if_nameindex()] == ["lo"]


def enter(command: Sequence[str]) -> int:
    """Run a command in a namespace of its own and return its status."""
    unshare = ["unshare", "--net", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    return subprocess.call([*unshare, "--", sys.executable, "-m", "e2e.harness.namespace", INSIDE, *command])


def prepare() -> None:
    """Bring loopback up with the pods' addresses, and put the names into this namespace's own hosts file."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "route", "add", "local", PODS, "dev", "lo"], check=True)
    with tempfile.NamedTemporaryFile("w", prefix="weighbridge-hosts-", delete=False) as hosts:
        hosts.write(HOSTS)
    os.chmod(hosts.name, 0o644)
    # The mount is private to this namespace (unshare makes it so): the machine's own file stays as it is.
    subprocess.run(["mount", "--bind", hosts.name, "/etc/hosts"], check=True)
    os.unlink(hosts.name)


def main(arguments: Sequence[str]) -> int:
    """Run the command of the arguments inside; the first call makes the namespace, the second fills it."""
    if not arguments:
        sys.stderr.write("usage: python -m e2e.harness.namespace COMMAND...\n")
        return 64
    if arguments[0] != INSIDE:
        return enter(arguments)
    prepare()
    return subprocess.call(list(arguments[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
