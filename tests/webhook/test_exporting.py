"""The record behind a report: judged again, it gives the same report."""

from __future__ import annotations

import pytest

from analysis.judge import judge
from tests.contract.scene import NOW, RELEASE
from webhook.schema.record import read_record
from webhook.schema.scalars import time

INLINE = {
    "start": "2026-11-23T10:00:00Z",
    "step_seconds": 10,
    "questions": {
        "error-rate": {
            "baseline": {"s-1": {"bad": [10, 11, None, 9], "total": [1000, 1000, None, 1000]}},
            "canary": {"c-1": {"bad": [1, 1, 1, 2], "total": [100, 90, 100, 100]}},
        }
    },
}


def again(document, report, **more):
    """Return the report that the exported record gives at the end of the report's window."""
    export = read_record(document)
    return judge(export.policy, export.record, time(report["window"]["end"], ""), **more)


@pytest.mark.parametrize("verdict", ["promote", "hold", "abort"])
def test_an_exported_record_gives_the_same_report(scenes, verdict):
    """Verdict, reason, every log e and the window are those of the service, bit for bit."""
    scene = scenes(verdict)
    report = scene.argo(stage="step").json
    whole = scene.get(f"/v1/reports/{report['id']}").json
    document = scene.get(f"/v1/reports/{report['id']}/record").json
    assert document["format"] == "weighbridge-record/1"
    assert document["release"]["name"] == "checkout"
    found = again(document, report, stage=found_stage(report))
    assert (found.verdict.value, found.reason) == (report["verdict"], report["reason"])
    assert found.window.looks == report["window"]["looks"]
    there = {e["name"]: e for e in whole["detail"]["evidence"]}
    for evidence in found.evidence:
        assert dict(evidence.log_e) == there[evidence.name]["log_e"]


def found_stage(report):
    from analysis.types import Stage

    return Stage(report["release"]["stage"])


def test_an_earlier_report_exports_no_later_look(scenes):
    """The record of a report ends with its window, however the release went on."""
    scene = scenes("promote")
    scene.clock.now = NOW - 600
    early = scene.argo(stage="step").json
    scene.clock.now = NOW
    late = scene.argo(stage="step").json
    looks = [len(scene.get(f"/v1/reports/{r['id']}/record").json["looks"]) for r in (early, late)]
    assert looks == [early["window"]["looks"], late["window"]["looks"]]
    assert looks[0] < looks[1]


def test_inline_data_exports_itself(service):
    """The record of inline data is the request: the same report again, also without a release."""
    for body in ({"data": INLINE}, {"data": INLINE, "release": {"name": "checkout", "namespace": "shop"}}):
        report = service.post("/v1/analysis", {**body, "stage": "final"}).json
        document = service.get(f"/v1/reports/{report['id']}/record").json
        found = again(document, report, stage=found_stage(report))
        assert (found.verdict.value, found.reason) == (report["verdict"], report["reason"])
        assert len(document["looks"]) == 4


def test_a_report_that_was_made_of_no_record_has_none(service):
    """An override weighs nothing: 404 with that reason."""
    service.override("hold", name="checkout", revision=RELEASE["revision"])
    report = service.argo().json
    answer = service.get(f"/v1/reports/{report['id']}/record")
    assert answer.status_code == 404
    assert "record" in answer.json["detail"]


def test_a_record_that_was_dropped_is_404(scenes):
    """Where the store no longer has the attempt there is no record to show, and that is said."""
    scene = scenes("promote")
    report = scene.argo(stage="step").json
    scene.store.inner.__init__(retention_s=1e9, clock=scene.clock)
    assert scene.get(f"/v1/reports/{report['id']}/record").status_code == 404
