"""Who is being judged: one rule of attempts per row, each with the traffic in which it was seen."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.types import Stage
from tests.shared_data import capture
from webhook.releases import (
    CANARY_ITSELF,
    FIRST_INTERVAL,
    HISTORY_LIMIT,
    SAME_TICK,
    TICKS_KEPT,
    Asking,
    Attempt,
    Caller,
    Phase,
    ReleaseKey,
    asked,
    interval,
    noted,
    read,
    resolve,
    superseded,
)

KEY = ReleaseKey(namespace="shop", name="checkout", revision="a1")
T = 1_000_000.0


def asking(caller, at, **more):
    return Asking(key=KEY, caller=caller, at=at, **more)


def known(**more):
    """Return an attempt that was opened at `T` and asked about ever since."""
    usual = {
        "cluster": "", "namespace": "shop", "name": "checkout", "revision": "a1", "attempt": 1, "version": 3,
        "opened_at": T, "asked": (T, T + 10, T + 20), "started_at": T,
    }  # fmt: skip
    return Attempt(**{**usual, **more})


ABORTED = {"phase": "aborted", "told_abort_at": T + 20, "ended_at": T + 20}
FINISHED = {"phase": "promoted", "finished_at": T + 20, "ended_at": T + 20}
SAME, NEW = 1, 2


@pytest.mark.parametrize(
    ("last", "request_", "attempt", "why"),
    [
        # argo_cluster_template_verdicts: the retry's body equals the first, 15 s after the abort; Argo stops asking at
        # once when it hears abort.
        pytest.param(ABORTED, asking(Caller.ARGO, T + 35), NEW, "after an abort", id="argo: retry 15 s after an abort"),
        pytest.param(ABORTED, asking(Caller.ARGO, T + 29), SAME, "", id="argo: a late request in flight at the abort"),
        pytest.param(
            ABORTED, asking(Caller.ARGO, T + 300, may_open=False), SAME, "", id="argo: a GET, or dry_run, opens none"
        ),
        # argo_abort_retry_bluegreen: a retry starts again at the first step.
        pytest.param(
            {"steps_seen": (1, 3)}, asking(Caller.ARGO, T + 30, step=1), SAME, "",
            id="argo: the lowest index may be a background's",
        ),
        pytest.param(
            {"steps_seen": (1, 3), "background_named": True}, asking(Caller.ARGO, T + 30, step=1), NEW, "fell to 1",
            id="argo: the step fell, the background names itself",
        ),
        pytest.param(
            {"steps_seen": (0, 1, 3)}, asking(Caller.ARGO, T + 30, step=1), NEW, "fell to 1",
            id="argo: the step fell to one that is no background's",
        ),
        # argo_cluster_template_verdicts: the background analysis keeps asking with step 0.
        pytest.param(
            {"steps_seen": (0, 1, 3)}, asking(Caller.ARGO, T + 30, step=0), SAME, "",
            id="argo: background beside step 3",
        ),
        pytest.param(
            {"steps_seen": (3,), "background_named": True}, asking(Caller.ARGO, T + 30, step=0, stage=Stage.BACKGROUND),
            SAME, "", id="argo: a named background says nothing of steps",
        ),
        pytest.param({"steps_seen": (1,)}, asking(Caller.ARGO, T + 30, step=3), SAME, "", id="argo: the next step"),
        pytest.param({}, asking(Caller.ARGO, T + 30_000), SAME, "", id="argo: a long pause is no end"),
        # flagger_kubernetes_bluegreen: post-rollout with phase Succeeded or Failed ends a canary.
        pytest.param(FINISHED, asking(Caller.FLAGGER, T + 26), NEW, "after its end", id="flagger: again after its end"),
        pytest.param(FINISHED, asking(Caller.FLAGGER, T + 24), SAME, "", id="flagger: hooks of the tick that ended it"),
        pytest.param({}, asking(Caller.FLAGGER, T + 50), SAME, "", id="flagger: three intervals"),
        pytest.param({}, asking(Caller.FLAGGER, T + 51), NEW, "more than 3 intervals", id="flagger: a longer gap"),
        # flagger_no_counting_hooks: the server was down for 25 s in mid-release, weight and checks stayed.
        pytest.param(
            {"asked": (T, T + 10)}, asking(Caller.FLAGGER, T + 35), SAME, "", id="flagger: our outage of 25 s"
        ),
        # flagger_nginx_weights: pre-rollout is repeated while confirm-traffic-increase is refused.
        pytest.param({}, asking(Caller.FLAGGER, T + 30, hook="pre-rollout"), SAME, "", id="flagger: pre-rollout again"),
        pytest.param(ABORTED, asking(Caller.FLAGGER, T + 40), SAME, "", id="flagger: goes on asking after an abort"),
        pytest.param({}, asking(Caller.V1, T + 90_000), SAME, "", id="v1: opens none by time"),
        pytest.param(
            ABORTED, asking(Caller.V1, T + 90, started_at=T + 80), NEW, "started again", id="v1: a start after its end"
        ),
        pytest.param(
            ABORTED, asking(Caller.V1, T + 90, started_at=T), SAME, "", id="v1: the start that it had"
        ),
    ],
)  # fmt: skip
def test_when_a_new_attempt_begins(last, request_, attempt, why):
    """The same revision goes on, or begins anew, by the rule of its controller; a new attempt says why it began."""
    last = known(**last)
    found = resolve(request_, [last])
    assert found.attempt == attempt
    assert (found.version == 0) == (attempt == NEW)
    if attempt == NEW:
        assert why in found.opened_by
        assert found.history[0]["reason"] == found.opened_by
        assert found.policies == {}
    else:
        assert found == last


@pytest.mark.parametrize("caller", Caller)
def test_the_first_request_of_a_revision_opens_its_first_attempt(caller):
    """A revision that was never seen is attempt 1, whatever others did."""
    other = known(revision="a0")
    found = resolve(asking(caller, T + 5), [other])
    assert (found.attempt, found.version, found.revision) == (1, 0, "a1")


@pytest.mark.parametrize("caller", Caller)
def test_a_human_may_ask_for_a_retry(caller):
    """A retry opens the next attempt once; it starts no earlier than the word and the end before it."""
    last = known(**ABORTED)
    found = resolve(asking(caller, T + 25), [last], retry_at=T + 24)
    assert (found.attempt, found.floor) == (2, T + 24)
    again = replace(found, version=1)
    assert resolve(asking(caller, T + 26), [last, again], retry_at=T + 24) == again


def test_a_new_attempt_starts_after_the_end_of_the_old_one():
    """Traffic of the attempt before is not its own, nor what aborted pods answer while their traffic goes away."""
    assert resolve(asking(Caller.ARGO, T + 60), [known(**ABORTED)]).floor == T + 60
    assert resolve(asking(Caller.ARGO, T + 60), [known(**ABORTED)]).words_since == T + 20
    assert resolve(asking(Caller.FLAGGER, T + 60), [known(**FINISHED)]).floor == T + 20


def test_a_start_that_the_caller_names_is_kept():
    """``started_at`` wins over what the source would show."""
    found = resolve(asking(Caller.ARGO, T, started_at=T - 30), [])
    assert (found.started_at, found.start_source) == (T - 30, "named by the caller")


def test_the_same_name_in_another_cluster_is_another_release():
    """Cluster, namespace, name and revision together name a release."""
    other = known(cluster="eu", **ABORTED)
    assert resolve(asking(Caller.ARGO, T + 60), [other]).attempt == 1


def test_the_recorded_runs_of_argo_make_the_attempts_that_they_were():
    """Three revisions with a background analysis beside the steps: one attempt each, and a second for the retry."""
    stored = {}
    for request in capture("argo_cluster_template_verdicts.json")["requests"]:
        release, verdict = request["json"]["release"], json.loads(request["answered"]["body"])["verdict"]
        key = ReleaseKey(namespace=release["namespace"], name=release["name"], revision=release["revision"])
        call = Asking(key=key, caller=Caller.ARGO, at=request["t"], step=int(release["step"]), stage=Stage.STEP)
        attempt = asked(resolve(call, list(stored.values())), call)
        told = request["t"] if verdict == "abort" and attempt.told_abort_at is None else attempt.told_abort_at
        stored[attempt.key, attempt.attempt] = replace(attempt, version=attempt.version + 1, told_abort_at=told)
    assert sorted((key.revision, number) for key, number in stored) == [
        ("5578b4f7f6", 1), ("5c8b98569", 1), ("5c8b98569", 2), ("77db79d599", 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "flagger_kubernetes_bluegreen_requests.json",
        "flagger_nginx_weights_requests.json",
        "flagger_no_counting_hooks_requests.json",
        "flagger_kubernetes_metrics_edges_requests.json",
    ],
)
def test_the_recorded_runs_of_flagger_make_one_attempt_a_checksum(name):
    """Waiting, refused hooks, retries after time-outs and our own outage open no second attempt."""
    last = {}
    for request in capture(name)["requests"]:
        hook = request["target"].partition("?")[0].rpartition("/")[2]
        if request["method"] != "POST" or hook in ("event", "confirm-rollout"):
            continue
        told = request["json"]
        if hook == "post-rollout":
            last[told["checksum"]] = replace(last[told["checksum"]], finished_at=request["t"])
            continue
        key = ReleaseKey(namespace=told["namespace"], name=told["name"], revision=told["checksum"])
        call = Asking(key=key, caller=Caller.FLAGGER, at=request["t"], hook=hook)
        found = asked(resolve(call, list(last.values())), call)
        last[told["checksum"]] = replace(found, version=found.version + 1)
    assert last
    assert {attempt.attempt for attempt in last.values()} == {1}


# ticks


def test_the_hooks_of_one_tick_are_one_tick():
    """Flagger calls several hooks within a moment: they count once, and every hook is remembered."""
    attempt = known(asked=())
    for at, hook in ((T, "rollback"), (T + 0.1, "rollout"), (T + SAME_TICK, "confirm-promotion"), (T + 10, "rollback")):
        attempt = asked(attempt, asking(Caller.FLAGGER, at, hook=hook))
    assert attempt.asked == (T, T + 10)
    assert attempt.hooks == ("rollback", "rollout", "confirm-promotion")


@pytest.mark.parametrize(
    ("ticks", "seconds"),
    [((), FIRST_INTERVAL), ((T,), FIRST_INTERVAL), ((T, T + 30, T + 60, T + 600), 30.0), ((T, T + 6), 10.0)],
    ids=["none", "one", "one pause", "too short"],
)
def test_flaggers_interval_is_the_median_of_its_ticks(ticks, seconds):
    """One long pause does not change it, it is never under 10 s, and 60 s until it was seen."""
    assert interval(known(asked=ticks)) == seconds


def test_few_ticks_are_kept():
    """A release of days does not grow without end."""
    attempt = known(asked=())
    for n in range(50):
        attempt = asked(attempt, asking(Caller.FLAGGER, T + 10 * n))
    assert len(attempt.asked) == TICKS_KEPT


def test_what_the_caller_knows_later_is_added():
    """Stable hash and annotation may come with a later request, and are not lost with an emptier one."""
    attempt = asked(known(), asking(Caller.ARGO, T + 1, stable_revision="s1", annotation="7"))
    attempt = asked(attempt, asking(Caller.ARGO, T + 2))
    assert (attempt.stable_revision, attempt.annotation) == ("s1", "7")


# history


def note(attempt, action, weight=0.1, time=T):
    return noted(attempt, time=time, weight=weight, action=action, reason="because")


@pytest.mark.parametrize(
    ("action", "weight", "more"),
    [("hold", 0.1, 0), ("hold", 0.115, 0), ("hold", 0.13, 1), ("promote", 0.1, 1), ("hold", None, 1)],
)
def test_history_repeats_nothing(action, weight, more):
    """The same word at about the same weight is no news; another word, weight or an unknown weight is."""
    once = note(known(), "hold")
    assert len(note(once, action, weight).history) == len(once.history) + more


def test_history_is_bounded_and_keeps_its_beginning():
    """However often a release flaps, the first line and the newest stay."""
    attempt = known()
    for n in range(3 * HISTORY_LIMIT):
        attempt = note(attempt, "hold" if n % 2 else "promote", time=T + n)
    assert len(attempt.history) <= HISTORY_LIMIT
    assert attempt.history[0]["time"] == T
    assert attempt.history[-1]["time"] == T + 3 * HISTORY_LIMIT - 1


def test_a_new_revision_supersedes_those_before_it():
    """Attempts of older revisions that were not over end, with the new revision as the reason; others stay."""
    new = known(revision="a2", opened_at=T + 100, version=0)
    older, over, later = known(), known(revision="a0", **FINISHED), known(revision="a3", opened_at=T + 200)
    ended = superseded([older, over, later, replace(new, version=1)], new, T + 101)
    assert [(old.revision, old.phase, old.ended_at) for old in ended] == [("a1", Phase.SUPERSEDED.value, T + 101)]
    assert "a2" in ended[0].history[-1]["reason"]


def test_what_is_kept_of_a_canary_itself_is_no_revision_of_anybody():
    """The mark for a canary as a whole cannot be a pod template hash or a checksum."""
    assert not CANARY_ITSELF.isalnum()


@given(
    st.builds(
        known, history=st.just(({"time": T},)), hooks=st.lists(st.text()).map(tuple), phase=st.sampled_from(Phase)
    )
)
def test_an_attempt_survives_the_store(attempt):
    """What is written as JSON is read back equal, and keys of newer versions are skipped."""
    kept = json.loads(json.dumps(attempt.document()))
    assert read({**kept, "a key of tomorrow": 1}) == attempt
