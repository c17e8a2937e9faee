"""One measurement of Argo's ``web`` metric provider, v1.9.1: from an HTTP answer to a phase."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any

from .conditions import ConditionError, holds
from .wire import Call, Clock, TransportError, exchange

Condition = str | Callable[[Any], bool]
DEFAULT_TIMEOUT = 10.0
DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
PATH_PART = re.compile(r"\.([A-Za-z_][\w-]*)|\[(\d+)\]")
TAG = re.compile(r"\{\{\s*args\.([\w.-]+)\s*\}\}")


class Phase(StrEnum):
    """Phases of measurements, metrics and runs."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCESSFUL = "Successful"
    INCONCLUSIVE = "Inconclusive"
    FAILED = "Failed"
    ERROR = "Error"

    @property
    def completed(self) -> bool:
        """Whether nothing more will change."""
        return self not in (Phase.PENDING, Phase.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one call came to; *value* is what the run's status keeps, times in Unix seconds."""

    phase: Phase
    started_at: float
    finished_at: float
    value: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """
    A metric with a ``web`` provider; fields and defaults are those of an AnalysisTemplate.

    Durations in seconds. *count* None with an *interval* is unbounded, without one it is 1. *token_url*
    stands for OAuth2 client credentials: one token request before every measurement.
    """

    name: str
    url: str
    method: str = "GET"
    json_body: Any = None
    body: str | None = None
    json_path: str = "{$}"
    timeout: float = DEFAULT_TIMEOUT
    token_url: str | None = None
    success: Condition | None = None
    failure: Condition | None = None
    interval: float | None = None
    initial_delay: float = 0.0
    count: int | None = None
    failure_limit: int = 0
    inconclusive_limit: int = 0
    consecutive_error_limit: int = 4
    consecutive_success_limit: int = 0

    def __post_init__(self) -> None:
        if self.interval is None and (self.count or 1) > 1:
            raise ValueError(f"interval must be specified when count > 1: {self.name}")
        if self.interval is not None and self.interval < 1:
            raise ValueError(f"this model keeps whole seconds, interval must be at least 1 s: {self.name}")
        if self.count and self.count < self.inconclusive_limit:
            raise ValueError(f"count must be >= inconclusiveLimit: {self.name}")
        if self.count and self.count < max(self.failure_limit, 0) + self.consecutive_success_limit:
            raise ValueError(f"count must be >= failureLimit + consecutiveSuccessLimit: {self.name}")

    @property
    def effective_count(self) -> int | None:
        """How many measurements end the metric; None for no end."""
        if not self.count:
            return 1 if self.interval is None else None
        return self.count


def duration(text: str | float) -> float:
    """Return the seconds of a Go duration such as ``5s`` or ``1m30s``; numbers are seconds already."""
    if isinstance(text, int | float):
        return float(text)
    return sum(float(number) * UNITS[unit] for number, unit in DURATION.findall(text))


def metric_from_manifest(spec: Mapping[str, Any]) -> Metric:
    """Return the metric that one entry of ``spec.metrics`` of a run or template describes."""
    web = spec["provider"]["web"]
    interval = spec.get("interval")
    return Metric(
        name=spec["name"],
        url=web["url"],
        method=web.get("method", "GET"),
        json_body=web.get("jsonBody"),
        body=web.get("body"),
        json_path=web.get("jsonPath", "{$}"),
        timeout=float(web.get("timeoutSeconds") or DEFAULT_TIMEOUT),
        token_url=web.get("authentication", {}).get("oauth2", {}).get("tokenUrl"),
        success=spec.get("successCondition"),
        failure=spec.get("failureCondition"),
        interval=None if interval is None else duration(interval),
        initial_delay=duration(spec.get("initialDelay", 0.0)),
        count=None if spec.get("count") is None else int(spec["count"]),
        failure_limit=int(spec.get("failureLimit", 0)),
        inconclusive_limit=int(spec.get("inconclusiveLimit", 0)),
        consecutive_error_limit=int(spec.get("consecutiveErrorLimit", 4)),
        consecutive_success_limit=int(spec.get("consecutiveSuccessLimit", 0)),
    )


def resolved(metric: Metric, args: Mapping[str, str]) -> Metric:
    """Return *metric* with every ``{{args.x}}`` replaced by text; KeyError names an argument nobody gave."""

    def fill(value: Any) -> Any:
        if isinstance(value, str):
            return TAG.sub(lambda tag: args[tag.group(1)], value)
        if isinstance(value, Mapping):
            return {key: fill(item) for key, item in value.items()}
        return [fill(item) for item in value] if isinstance(value, list) else value

    return replace(metric, url=fill(metric.url), body=fill(metric.body), json_body=fill(metric.json_body))


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"number out of range: {text}")
    return value


def _refuse(word: str) -> Any:
    raise ValueError(f"not JSON: {word}")


def decode(body: bytes) -> Any:
    """Return *body* as Go decodes JSON: all numbers are floats; ValueError also for NaN and Infinity."""
    text = body.decode("utf-8", errors="replace")
    return json.loads(text, parse_float=_finite, parse_int=_finite, parse_constant=_refuse)


def _go_number(value: float) -> str:
    """Return *value* as Go's encoder writes a float64: shortest digits, exponent below 1e-6 and from 1e21."""
    if value == 0 or 1e-6 <= abs(value) < 1e21:
        return format(Decimal(repr(value)), "f").removesuffix(".0")
    mantissa, exponent = repr(value).split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent):+d}"


def encode(value: Any) -> str:
    """Return *value* as Argo stores it: compact JSON, keys sorted, ``<>&`` escaped."""
    if isinstance(value, float):
        return _go_number(value)
    if isinstance(value, list):
        return "[" + ",".join(map(encode, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{encode(key)}:{encode(value[key])}" for key in sorted(value)) + "}"
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def select(document: Any, path: str) -> Any:
    """Return what a JSONPath of members and indices (``{$.a.b[1]}``) finds; LookupError for nothing."""
    steps = path.strip("{}").removeprefix("$")
    for name, index in PATH_PART.findall(steps):
        if name:
            if not isinstance(document, dict) or name not in document:
                raise LookupError(f"{name} is not found")
            document = document[name]
        else:
            if not isinstance(document, list) or int(index) >= len(document):
                raise LookupError(f"array index out of bounds: index {index}")
            document = document[int(index)]
    return document


def _true(condition: Condition, result: Any) -> bool:
    return holds(condition, result) if isinstance(condition, str) else condition(result)


def assess(metric: Metric, result: Any) -> Phase:
    """Return the phase that the conditions of *metric* give to *result*; ConditionError for an Error."""
    success = metric.success is not None and _true(metric.success, result)
    failure = metric.failure is not None and _true(metric.failure, result)
    if failure:
        return Phase.FAILED
    if metric.success is None or success:
        return Phase.SUCCESSFUL
    return Phase.FAILED if metric.failure is None else Phase.INCONCLUSIVE


def interpret(metric: Metric, status: int, body: bytes) -> tuple[Phase, str, str]:
    """Return phase, stored value and message for one HTTP answer."""
    if not 200 <= status < 300:
        return Phase.ERROR, "", f"received non 2xx response code: {status}"
    try:
        document = decode(body)
    except ValueError:
        # v1.9.1 never looks at the conditions here: whatever the text says, the measurement passes.
        return Phase.SUCCESSFUL, body.decode("utf-8", errors="replace"), ""
    try:
        result = select(document, metric.json_path)
    except LookupError as error:
        return Phase.ERROR, "", f"Could not find JSONPath in body: {error.args[0]}"
    try:
        return assess(metric, result), encode(result), ""
    except ConditionError as error:
        return Phase.ERROR, "", str(error)


def measure(metric: Metric, call: Call, clock: Clock) -> Measurement:
    """Ask once and say what came of it; the clock moves by what the answer took."""
    started = clock.now

    def outcome(phase: Phase, value: str = "", message: str = "") -> Measurement:
        return Measurement(phase=phase, started_at=started, finished_at=clock.now, value=value, message=message)

    carries = metric.json_body is not None or metric.body is not None
    if carries and metric.method not in ("POST", "PUT"):
        text = "Body/JSONBody can only be used with POST or PUT WebMetric Method types"
        return outcome(Phase.ERROR, message=text)
    try:
        if metric.token_url is not None:
            status, _, _ = exchange(call, clock, "POST", metric.token_url, None, metric.timeout)
            if status != 200:
                return outcome(Phase.ERROR, message=f"oauth2: cannot fetch token: {status}")
        payload = metric.body if metric.json_body is None else metric.json_body
        status, _, body = exchange(call, clock, metric.method, metric.url, payload, metric.timeout)
    except TransportError as error:
        return outcome(Phase.ERROR, message=str(error))
    return outcome(*interpret(metric, status, body))
