"""What every blueprint needs: the gate, who may ask, what is counted, and the clock. Knows no Flask."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from analysis.types import Json
from webhook.answers import Heard
from webhook.auth import Guard
from webhook.gate import Gate
from webhook.settings import Settings
from webhook.telemetry import Decision, Telemetry


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """
    The parts of a running service.

    ``clock`` gives unix seconds: the views read it, nothing behind them does.
    """

    gate: Gate
    guard: Guard
    telemetry: Telemetry
    settings: Settings
    clock: Callable[[], float] = time.time

    def decided(self, caller: str, hook: str, heard: Heard, document: dict[str, Json], seconds: float) -> None:
        """Log and count one decision."""
        release = document.get("release") or {}
        timing = (document.get("detail") or {}).get("timing") or {}
        self.telemetry.decided(
            Decision(
                policy=str(document.get("policy", "")),
                verdict=heard.value,
                would=str(document.get("would", "")),
                mode=str(document.get("mode", "")),
                caller=caller,
                hook=hook,
                stage=str(release.get("stage", "")),
                namespace=str(release.get("namespace", "")),
                name=str(release.get("name", "")),
                reason=str(document.get("reason", "")),
                id=str(document.get("id", "")),
                duration_s=seconds,
                source_s=float(timing.get("source_seconds", 0.0)),
            )
        )
