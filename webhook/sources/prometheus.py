"""
Prometheus, and whatever speaks its query API, as a source.

A thin adapter over prometheus-api-client: no retries (the caller's deadline is shorter than one back-off), no gzip
(compressing costs Prometheus more than the link), every answer bounded in series, samples and bytes, and foreign
exceptions translated here, once.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

import numpy as np
import requests
from prometheus_api_client import PrometheusConnect
from urllib3.exceptions import HTTPError, ReadTimeoutError
from urllib3.util.retry import Retry

from webhook.errors import SourceDown, SourceFault, SourceLimit, SourceRefused
from webhook.ports import SIDE_LABEL, Answer, Points, Query, Span
from webhook.sources.histograms import native_points

MAX_POINTS: Final = 10_000
"""Evaluation times in one request; Prometheus refuses more than 11,000."""
PIECE_POINTS: Final = 480
"""Longer spans are cut into up to four pieces, which Prometheus evaluates at the same time."""
_CHUNK: Final = 65_536
_TLS_WORDS: Final = re.compile(r"""\] ([^()'"]+?)(?: \(|['"])""")
"""What OpenSSL says, between the name of its error and the place in its code."""
_REFUSED: Final = frozenset({400, 401, 403, 404, 405, 413, 414, 422})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one verdict may read: series and samples after parsing, bytes on the wire."""

    series: int = 5_000
    samples: int = 2_000_000
    size: int = 64 * 2**20


class _Meter:
    """Counts what all queries of one verdict have read together."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.series = self.samples = self.size = 0
        self._lock = threading.Lock()

    def add(self, query: Query, *, series: int = 0, samples: int = 0, size: int = 0) -> None:
        """Count, and raise `SourceLimit` naming the query that went over a limit."""
        with self._lock:
            self.series += series
            self.samples += samples
            self.size += size
            for unit, read, most in (
                ("series", self.series, self.limits.series),
                ("samples", self.samples, self.limits.samples),
                ("bytes", self.size, self.limits.size),
            ):
                if read > most:
                    raise SourceLimit(f"{label(query)}: more than {most:,} {unit} in one verdict")


def label(query: Query) -> str:
    """Return how a query is called in messages."""
    return f"query {query.question} {query.field}" if query.question else f"query {query.field}"


class PrometheusSource:
    """
    A Prometheus behind the port ``Source``.

    Parameters
    ----------
    url : str
        Base address, with a path if it has one; credentials in it become basic authentication.
    headers : mapping, optional
        Sent with every request (``X-Scope-OrgID`` …).
    bearer_file : path, optional
        Read again for every verdict, since such tokens rotate.
    basic : (str, str), optional
        Name and password.
    ca_file : path, optional
        Certificates to trust instead of the system's.
    threads : int
        How many queries run at once, over all verdicts of this process.
    limits : Limits, optional
    clock : callable
        Monotonic seconds.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        bearer_file: str | Path | None = None,
        basic: tuple[str, str] | None = None,
        ca_file: str | Path | None = None,
        threads: int = 8,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url, inside = _without_credentials(url)
        self._bearer_file = Path(bearer_file) if bearer_file else None
        self._limits = limits or Limits()
        self._clock = clock
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        session = requests.Session()
        session.trust_env = False  # neither proxies nor .netrc of whoever started us; .netrc would replace the bearer
        session.verify = str(ca_file) if ca_file else True
        session.auth = basic or inside
        session.headers.update({"Accept-Encoding": "identity", **(headers or {})})
        self._session = session
        self._client = PrometheusConnect(self._url, session=session, retry=Retry(total=0), method="POST")

    def fetch(self, queries: Sequence[Query], span: Span, timeout: float) -> Answer:
        """
        Evaluate all queries over one span at once.

        Parameters
        ----------
        queries : sequence of Query
        span : Span
            Cut into requests of at most 10,000 evaluation times, long ones into four.
        timeout : float
            Seconds for everything together.

        Raises
        ------
        SourceDown
            Refused connections, timeouts, 5xx, answers that are not Prometheus's.
        SourceRefused
            The source understood and refused; the message holds its own words.
        SourceLimit
            The answers together are larger than one verdict may read.
        """
        begun = self._clock()
        deadline = begun + timeout
        meter = _Meter(self._limits)
        authorisation = self._authorisation()
        jobs: dict[Future[tuple[list[Points], list[str]]], Query] = {}
        for query in dict.fromkeys(queries):
            for piece in _pieces(span):
                job = self._executor().submit(self._ask, query, piece, deadline, meter, authorisation)
                jobs[job] = query
        done, late = wait(jobs, timeout=max(0.0, deadline - self._clock()), return_when=FIRST_EXCEPTION)
        failed = [error for job in done if (error := job.exception()) is not None]
        if failed or late:
            for job in late:
                job.cancel()
            if failed:
                raise min(failed, key=_rank)
            names = sorted({label(jobs[job]) for job in late})
            raise SourceDown(f"{names[0]}: no answer within {timeout:.1f} s ({len(late)} of {len(jobs)} requests)")
        points: dict[Query, list[Points]] = {query: [] for query in queries}
        warnings: dict[str, None] = {}
        for job, query in jobs.items():
            found, said = job.result()
            points[query].extend(found)
            warnings.update(dict.fromkeys(said))
        return Answer(
            points={query: _merged(found) for query, found in points.items()},
            warnings=tuple(warnings),
            samples=meter.samples,
            size=meter.size,
            seconds=self._clock() - begun,
        )

    def ping(self, timeout: float) -> None:
        """Return if the query API answers ``1`` within ``timeout`` seconds; raise `SourceFault` otherwise."""
        moment = Span(start=0.0, end=0.0, step=1.0)
        self.fetch([Query(question="", field="ping", expr="vector(1)", increments=False)], moment, timeout)

    def close(self) -> None:
        """Close connections and threads; requests that still run end by their own timeouts."""
        with self._lock:
            if self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)
                self._pool = None
        self._client.close()

    def _executor(self) -> ThreadPoolExecutor:
        # Threads do not survive a fork, so they start with the first question and not with the process.
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="prometheus")
            return self._pool

    def _authorisation(self) -> dict[str, str]:
        if self._bearer_file is None:
            return {}
        try:
            return {"Authorization": f"Bearer {self._bearer_file.read_text(encoding='utf-8').strip()}"}
        except OSError as error:
            raise SourceDown(f"the bearer token cannot be read: {error.strerror}") from error

    def _ask(
        self, query: Query, span: Span, deadline: float, meter: _Meter, headers: Mapping[str, str]
    ) -> tuple[list[Points], list[str]]:
        """Return the points of one request and the source's warnings."""
        remaining = deadline - self._clock()
        if remaining <= 0:
            raise SourceDown(f"{label(query)}: no time left to ask")
        form = {
            "query": query.expr,
            "start": f"{span.start:.3f}",
            "end": f"{span.end:.3f}",
            "step": f"{span.step:.3f}",
            "timeout": f"{max(1, int(remaining * 1000))}ms",
        }
        try:
            with self._session.post(
                f"{self._url}/api/v1/query_range",
                data=form,
                headers=headers,
                timeout=remaining,
                stream=True,
                allow_redirects=False,
                auth=_as_prepared if headers else None,
            ) as response:
                body = self._body(response, query, deadline, meter)
                status = response.status_code
        except (OSError, HTTPError) as error:
            raise SourceDown(f"{label(query)}: {_words(error)}") from error
        points, warnings = read_answer(query, status, body)
        meter.add(query, series=len(points), samples=sum(one.times.size for one in points))
        return points, warnings

    def _body(self, response: requests.Response, query: Query, deadline: float, meter: _Meter) -> bytes:
        """Read an answer piece by piece, so that a huge one is cut off and a slow one ends at the deadline."""
        # read1 returns with whatever has come; a full-sized read would wait for a trickle without end.
        pieces = []
        while piece := response.raw.read1(_CHUNK, decode_content=True):
            meter.add(query, size=len(piece))
            pieces.append(piece)
            if self._clock() > deadline:
                raise SourceDown(f"{label(query)}: the answer did not end in time")
        return b"".join(pieces)


def _as_prepared(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leave a request's own Authorization alone, which the session's basic authentication would replace."""
    return request


def _without_credentials(url: str) -> tuple[str, tuple[str, str] | None]:
    """Return the base address without userinfo, which would show in messages, and the userinfo."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"must be an http or https address, got {parts.scheme}://{parts.hostname or ''}")
    bare = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
    if parts.username is None:
        return bare, None
    return bare, (unquote(parts.username), unquote(parts.password or ""))


def _pieces(span: Span) -> list[Span]:
    last = round((span.end - span.start) / span.step)
    points = min(MAX_POINTS, max(PIECE_POINTS, last // 4 + 1))
    return [
        Span(
            start=span.start + first * span.step,
            end=span.start + min(first + points - 1, last) * span.step,
            step=span.step,
        )
        for first in range(0, last + 1, points)
    ]


def _rank(error: BaseException) -> int:
    """Return how much an error explains: a refusal tells more than a timeout that came of it."""
    for number, kind in enumerate((SourceLimit, SourceRefused, SourceFault)):
        if isinstance(error, kind):
            return number
    return -1


def _words(error: Exception) -> str:
    """Return one line about a failed request, without its address."""
    if isinstance(error, requests.Timeout | ReadTimeoutError):
        return "timed out"
    if isinstance(error, requests.exceptions.SSLError):
        said = _TLS_WORDS.search(str(error))
        return f"TLS failed: {said[1] if said else 'no handshake'}"
    if isinstance(error, requests.ConnectionError):
        return "connection refused" if "refused" in str(error) else "connection failed"
    if isinstance(error, HTTPError | requests.RequestException):
        return f"the request broke off ({type(error).__name__})"
    return f"request failed: {str(error)[:120]}"


def read_answer(query: Query, status: int, body: bytes) -> tuple[list[Points], list[str]]:
    """
    Return the points and warnings of one answer.

    Raises
    ------
    SourceDown, SourceRefused
        It is no answer of Prometheus, or one of refusal.
    """
    try:
        answer = json.loads(body)
    except ValueError as error:
        if status in _REFUSED:
            raise SourceRefused(f"{label(query)}: {status} {_line(body)}") from error
        raise SourceDown(f"{label(query)}: {status}, and no JSON: {_line(body)}") from error
    if status != 200 or not isinstance(answer, dict) or answer.get("status") != "success":
        said = answer.get("error") if isinstance(answer, dict) else None
        fault = SourceRefused if status in _REFUSED or status == 200 else SourceDown
        raise fault(f"{label(query)}: {status} {str(said or _line(body))[:300]}")
    try:
        points = [_points(query, one) for one in answer["data"]["result"]]
        warnings = [str(word) for word in answer.get("warnings") or ()]
    except (KeyError, TypeError, ValueError) as error:
        raise SourceDown(f"{label(query)}: not an answer of Prometheus ({type(error).__name__})") from error
    return points, warnings


def _points(query: Query, one: Mapping[str, Any]) -> Points:
    labels = {str(name): str(value) for name, value in one["metric"].items()}
    if query.side:
        labels[SIDE_LABEL] = query.side
    if "histograms" in one:
        return native_points(labels, one["histograms"])
    pairs = one["values"]
    return Points(
        labels=labels,
        times=np.array([pair[0] for pair in pairs], dtype=np.float64),
        values=np.array([pair[1] for pair in pairs], dtype=np.float64),
    )


def _line(body: bytes) -> str:
    return " ".join(body[:200].decode("utf-8", "replace").split())


def _merged(points: Sequence[Points]) -> tuple[Points, ...]:
    """Return one series per label set, in order of time."""
    found: dict[tuple[tuple[str, str], ...], list[Points]] = {}
    for one in points:
        found.setdefault(tuple(sorted(one.labels.items())), []).append(one)
    return tuple(
        parts[0]
        if len(parts) == 1
        else Points(
            labels=parts[0].labels,
            times=np.concatenate([part.times for part in parts]),
            values=np.concatenate([part.values for part in parts]),
            histograms=tuple(histogram for part in parts for histogram in part.histograms),
        )
        for _, parts in sorted(found.items())
    )
