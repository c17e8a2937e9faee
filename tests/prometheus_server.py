"""
Debian's Prometheus on a loopback port, with history that a test writes itself.

Two ways in: `promtool` backfills OpenMetrics text before the start, and `PrometheusServer.write` pushes samples
(staleness markers too) by remote write. Times are absolute, so that no test depends on the clock.
"""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_STALE_BITS = struct.pack("<Q", 0x7FF0000000000002)
Labels = Mapping[str, str]
Samples = Sequence[tuple[float, float | None]]
"""Pairs of (unix seconds, value); ``None`` is a staleness marker."""


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class PrometheusServer:
    """A running Prometheus: ``url`` to ask it, `write` to give it samples."""

    def __init__(self, url: str, process: subprocess.Popen[bytes]) -> None:
        self.url = url
        self.process = process

    def write(self, series: Iterable[tuple[Labels, Samples]]) -> None:
        """Push samples by remote write: ``({"__name__": …, …}, [(time, value), …])`` per series."""
        self.write_raw(_time_series(labels, samples) for labels, samples in series)

    def write_raw(self, series: Iterable[bytes]) -> None:
        """Push messages ``TimeSeries`` by remote write."""
        body = _snappy(b"".join(field(1, one) for one in series))
        request = urllib.request.Request(
            f"{self.url}/api/v1/write",
            data=body,
            headers={
                "Content-Type": "application/x-protobuf",
                "Content-Encoding": "snappy",
                "X-Prometheus-Remote-Write-Version": "0.1.0",
            },
        )
        try:
            urllib.request.urlopen(request, timeout=10).close()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"remote write refused: {error.read().decode()}") from error

    def stop(self) -> None:
        """End the process that was started, and wait for it."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def running(
    *,
    openmetrics: str = "",
    scrape: str = "scrape_configs: []",
    interval: str = "15s",
    features: Sequence[str] = (),
    binary: str | Path = "prometheus",
) -> Iterator[PrometheusServer]:
    """
    Run a Prometheus for the length of a ``with`` block.

    Parameters
    ----------
    openmetrics : str
        History to backfill as blocks before the start; ends with ``# EOF``.
    scrape : str
        The ``scrape_configs`` part of its configuration, YAML.
    interval : str
        Global scrape interval.
    features : sequence of str
        What ``--enable-feature`` turns on.
    binary : str or Path
        Another Prometheus than Debian's.
    """
    folder = Path(tempfile.mkdtemp(prefix="weighbridge-prometheus-"))
    data = folder / "data"
    if openmetrics:
        backfill(openmetrics, data)
    config = folder / "prometheus.yml"
    config.write_text(
        f"global: {{scrape_interval: {interval}, scrape_timeout: {interval}}}\n"
        "storage: {tsdb: {out_of_order_time_window: 3650d}}\n" + scrape + "\n"
    )
    url = f"http://127.0.0.1:{(port := free_port())}"
    log = folder / "log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [
                str(binary),
                f"--config.file={config}",
                f"--storage.tsdb.path={data}",
                "--storage.tsdb.retention.time=3650d",
                f"--web.listen-address=127.0.0.1:{port}",
                "--web.enable-remote-write-receiver",
                "--log.level=warn",
                *(f"--enable-feature={name}" for name in features),
            ],
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    server = PrometheusServer(url, process)
    try:
        _wait(server, log)
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def backfill(openmetrics: str, data: Path) -> None:
    """Turn OpenMetrics text into blocks of the database folder *data*."""
    source = data.parent / "history.txt"
    source.write_text(openmetrics)
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", "-q", str(source), str(data)],
        check=True,
        capture_output=True,
        timeout=100,
    )


def _wait(server: PrometheusServer, log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            urllib.request.urlopen(f"{server.url}/-/ready", timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise AssertionError(f"Prometheus did not start: {log.read_text()[-2000:]}")


def varint(number: int) -> bytes:
    """Return a number as protocol buffers write it."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, content: bytes) -> bytes:
    """Return a field of bytes as protocol buffers write it."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def _time_series(labels: Labels, samples: Samples) -> bytes:
    out = b"".join(field(1, field(1, name.encode()) + field(2, labels[name].encode())) for name in sorted(labels))
    for moment, value in samples:
        bits = _STALE_BITS if value is None else struct.pack("<d", value)
        out += field(2, b"\x09" + bits + b"\x10" + varint(round(moment * 1000)))
    return out


def _snappy(plain: bytes) -> bytes:
    """Return *plain* in snappy's block format, stored in literals without compression."""
    out = bytearray(varint(len(plain)))
    for start in range(0, len(plain), 65536):
        piece = plain[start : start + 65536]
        out += bytes([61 << 2]) + struct.pack("<H", len(piece) - 1) + piece
    return bytes(out)
