"""Native histograms for a test's Prometheus: how a sample of one is written by remote write."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from tests.prometheus_server import Labels, field, varint

TINY = 2.0**-128


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """
    One sample.

    Parameters
    ----------
    buckets : mapping of int to int
        Observations by index, cumulative over time; bucket ``i`` ends at ``2 ** (i * 2**-schema)``.
    schema : int
    zero : int
        Observations around zero, up to ``threshold``.
    """

    buckets: Mapping[int, int]
    schema: int = 0
    zero: int = 0
    threshold: float = TINY

    def encode(self, moment: float) -> bytes:
        """Return the message ``Histogram`` of remote write at a time in unix seconds."""
        spans, deltas = b"", b""
        before, previous = 0, None
        for index in sorted(self.buckets):
            gap = index if previous is None else index - previous - 1
            spans += field(11, b"\x08" + _zigzag(gap) + b"\x10" + varint(1))
            deltas += _zigzag(self.buckets[index] - before)
            before, previous = self.buckets[index], index
        count = sum(self.buckets.values()) + self.zero
        head = b"\x08" + varint(count) + b"\x19" + struct.pack("<d", 0.0) + b"\x20" + _zigzag(self.schema)
        zero = b"\x29" + struct.pack("<d", self.threshold) + b"\x30" + varint(self.zero)
        return head + zero + spans + (field(12, deltas) if deltas else b"") + b"\x78" + varint(round(moment * 1000))


def time_series(labels: Labels, samples: Mapping[float, Histogram]) -> bytes:
    """Return the message ``TimeSeries`` of histograms by time."""
    out = b"".join(field(1, field(1, name.encode()) + field(2, labels[name].encode())) for name in sorted(labels))
    return out + b"".join(field(4, found.encode(moment)) for moment, found in sorted(samples.items()))


def _zigzag(number: int) -> bytes:
    return varint(number * 2 if number >= 0 else -number * 2 - 1)
