"""The report document of a release that is asked about in every way."""

from __future__ import annotations

from functools import cache
from typing import Any

from analysis.types import Mode
from tests.analysis.kinds_examples import every_kind, release
from tests.analysis.record_examples import START, judged
from webhook.documents import Context, report_document
from webhook.releases import Attempt


@cache
def reported(*, harm: bool = False) -> dict[str, Any]:
    """Return its document, as the service would store it."""
    policy = every_kind()
    report = judged(policy, release(harm=harm))
    attempt = Attempt(
        cluster="", namespace="shop", name="checkout", revision="6c54", attempt=1, phase="held", started_at=START,
        start_source="request",
    )  # fmt: skip
    context = Context(policy=policy, attempt=attempt, mode=Mode.ENFORCE, asked_at=report.window.end)
    return report_document(report, report.verdict, context)
