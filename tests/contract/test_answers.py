"""Every cell of the answer table, over HTTP, against the real application."""

from __future__ import annotations

import json

import pytest

from analysis.types import Mode
from tests.contract.scene import CANARY, SOURCES, Scene, is_plain_line, is_verdict_object
from webhook.answers import ANSWERS, HOLD_FAILS, Heard, Hook
from webhook.auth import new_token
from webhook.settings import Settings

FLAGGER = [hook for hook in Hook if hook is not Hook.ARGO]
WEIGHED = [
    Hook.PRE_ROLLOUT,
    Hook.ROLLOUT,
    Hook.CONFIRM_TRAFFIC_INCREASE,
    Hook.CONFIRM_PROMOTION,
    Hook.ROLLBACK,
]
"""Hooks whose answer rests on the source."""
VERDICTS = [Heard.PROMOTE, Heard.HOLD, Heard.ABORT]


def scene_of(heard):
    return Scene(source=SOURCES[heard.value]())


@pytest.mark.parametrize("heard", VERDICTS)
@pytest.mark.parametrize("stage", ["step", "final"])
def test_argo_hears_every_verdict_with_200(heard, stage):
    """Whatever the verdict, Argo gets 200 with a verdict object that says it."""
    answer = scene_of(heard).argo(stage=stage)
    assert answer.status_code == ANSWERS[Hook.ARGO][heard] == 200
    is_verdict_object(answer)
    assert answer.json["verdict"] == heard.value


@pytest.mark.parametrize("heard", [Heard.HOLD, Heard.ABORT])
@pytest.mark.parametrize("hook", WEIGHED)
def test_each_weighed_hook_answers_hold_and_abort_by_the_table(hook, heard):
    """A hold waits where waiting does not count; a proved abort refuses, and rolls back only where it is asked."""
    if (hook, heard) == (Hook.PRE_ROLLOUT, Heard.HOLD):
        scene = Scene(source=SOURCES["promote"]())
        scene.override("hold")
    else:
        scene = scene_of(heard)
    answer = scene.hook(hook.value)
    assert answer.status_code == ANSWERS[hook][heard]
    is_plain_line(answer)


@pytest.mark.parametrize("hook", WEIGHED)
def test_each_weighed_hook_answers_promote_by_the_table(hook):
    """A promote approves everywhere but at the rollback hook, where it must not be a 2xx."""
    answer = scene_of(Heard.PROMOTE).hook(hook.value)
    assert answer.status_code == ANSWERS[hook][Heard.PROMOTE]
    is_plain_line(answer)


@pytest.mark.parametrize("heard", VERDICTS)
@pytest.mark.parametrize("hook", [*WEIGHED, Hook.CONFIRM_ROLLOUT])
def test_each_hook_obeys_a_human_by_the_table(hook, heard):
    """A human's word is a verdict like any other: the same cells."""
    scene = Scene(source=SOURCES["hold"]())
    assert scene.override(heard.value).status_code == 201
    answer = scene.hook(hook.value)
    assert answer.status_code == ANSWERS[hook][heard]
    assert "we know better" in answer.text


def test_confirm_rollout_approves_a_new_revision():
    """Nothing speaks against a revision that is new: confirm-rollout never asks the comparison."""
    scene = scene_of(Heard.ABORT)
    assert scene.hook("confirm-rollout").status_code == ANSWERS[Hook.CONFIRM_ROLLOUT][Heard.PROMOTE]
    assert scene.source.asked == []


def test_confirm_rollout_waits_for_a_revision_that_was_aborted_before():
    """An aborted revision does not begin again until a human asks for a retry."""
    scene = scene_of(Heard.ABORT)
    assert scene.hook("rollback").status_code == 200
    answer = scene.hook("confirm-rollout")
    assert answer.status_code == ANSWERS[Hook.CONFIRM_ROLLOUT][Heard.HOLD]
    assert "aborted before" in answer.text
    scene.clock.advance(60)
    scene.override("retry")
    assert scene.hook("confirm-rollout").status_code == ANSWERS[Hook.CONFIRM_ROLLOUT][Heard.PROMOTE]


@pytest.mark.parametrize("heard", VERDICTS)
@pytest.mark.parametrize("hook", [Hook.POST_ROLLOUT, Hook.EVENT])
def test_what_comes_after_a_verdict_is_noted_by_the_table(hook, heard):
    """Words of Flagger are noted with 202; only an abort's reason is handed back, at post-rollout."""
    scene = scene_of(heard)
    why = scene.hook("rollback").text
    answer = scene.hook(hook.value, phase="Failed" if heard is Heard.ABORT else "Progressing")
    assert answer.status_code == ANSWERS[hook][heard]
    is_plain_line(answer)
    if (hook, heard) == (Hook.POST_ROLLOUT, Heard.ABORT):
        assert answer.text == why


@pytest.mark.parametrize("heard", VERDICTS)
def test_hold_fails_moves_one_cell_only(heard):
    """``?hold=fail`` turns the hold of the rollout hook into a failed check, and nothing else."""
    answer = scene_of(heard).hook("rollout", "?hold=fail")
    assert answer.status_code == (HOLD_FAILS if heard is Heard.HOLD else ANSWERS[Hook.ROLLOUT][heard])
    is_plain_line(answer)


@pytest.mark.parametrize("heard", VERDICTS)
@pytest.mark.parametrize("hook", [hook for hook in WEIGHED if hook is not Hook.ROLLOUT])
def test_hold_fails_means_nothing_at_other_hooks(hook, heard):
    """``?hold=fail`` belongs to the rollout hook."""
    if (hook, heard) == (Hook.PRE_ROLLOUT, Heard.HOLD):
        scene = Scene(source=SOURCES["promote"]())
        scene.override("hold")
    else:
        scene = scene_of(heard)
    assert scene.hook(hook.value, "?hold=fail").status_code == ANSWERS[hook][heard]


def source_down(scene):
    scene.source.fail()
    return {}


def store_down(scene):
    scene.store.down = True
    return {}


def source_partial(scene):
    scene.source.partial("one replica did not answer")
    return {}


DEGRADED = {"source down": source_down, "store down": store_down, "source partial": source_partial}
WRONG = {
    "no JSON": ("", b"{"),
    "no object": ("", b"[1]"),
    "empty body": ("", b""),
    "no name": ("", b'{"namespace": "shop", "checksum": "x1"}'),
    "unknown policy": ("?policy=nobodys", None),
}


@pytest.mark.parametrize("cause", DEGRADED)
@pytest.mark.parametrize("seen", ["promote", "hold", "abort"])
@pytest.mark.parametrize("hook", WEIGHED)
def test_a_degraded_service_answers_the_safe_row(hook, seen, cause):
    """With source or store away a hook hears its degraded cell, whatever the numbers would say."""
    scene = Scene(source=SOURCES[seen]())
    DEGRADED[cause](scene)
    answer = scene.hook(hook.value)
    assert answer.status_code == ANSWERS[hook][Heard.DEGRADED]
    is_plain_line(answer)
    assert ("store" if cause == "store down" else "source") in answer.text


@pytest.mark.parametrize("hook", [Hook.CONFIRM_ROLLOUT, Hook.POST_ROLLOUT, Hook.EVENT])
def test_hooks_that_need_only_the_store_answer_the_safe_row_without_it(hook):
    """Without the store it is unknown what was said before: confirm-rollout waits, the others are thanked."""
    scene = scene_of(Heard.PROMOTE)
    scene.store.down = True
    answer = scene.hook(hook.value, phase="Succeeded" if hook is not Hook.CONFIRM_ROLLOUT else "Waiting")
    assert answer.status_code == ANSWERS[hook][Heard.DEGRADED]
    assert "store" in answer.text


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("hook", FLAGGER)
def test_a_wrong_request_answers_the_safe_row(hook, case):
    """A request that cannot be judged hears the degraded cell with the reason in it."""
    query, body = WRONG[case]
    answer = scene_of(Heard.ABORT).post(f"/flagger/{hook.value}{query}", CANARY if body is None else body)
    is_plain_line(answer)
    if case == "unknown policy" and hook in (Hook.POST_ROLLOUT, Hook.EVENT):
        assert answer.status_code == ANSWERS[hook][Heard.PROMOTE]  # what is noted needs no policy
    else:
        assert answer.status_code == ANSWERS[hook][Heard.DEGRADED]


@pytest.mark.parametrize("cause", DEGRADED)
def test_argo_hears_hold_from_a_degraded_service(cause):
    """With source or store away Argo reads a hold that says so."""
    scene = scene_of(Heard.ABORT)
    DEGRADED[cause](scene)
    answer = scene.argo()
    assert answer.status_code == ANSWERS[Hook.ARGO][Heard.DEGRADED] == 200
    is_verdict_object(answer)
    assert answer.json["verdict"] == "hold"
    assert ("store" if cause == "store down" else "source") in answer.json["reason"]


@pytest.fixture
def guarded(tmp_path):
    """A service with two tokens: one asks everywhere, one reads only."""
    secrets, entries = {}, []
    for name, verbs, namespaces in (("asks", ["ask"], ["*"]), ("reads", ["read"], ["*"]), ("cart", ["ask"], ["cart"])):
        secrets[name], entry = new_token(name, verbs, namespaces)
        entries.append(entry)
    file = tmp_path / "tokens.json"
    file.write_text(json.dumps(entries))
    return Scene(source=SOURCES["abort"](), settings=Settings(tokens_file=file)), secrets


@pytest.mark.parametrize("body", [CANARY, "{", ""], ids=["a canary", "no JSON", "empty body"])
@pytest.mark.parametrize("hook", FLAGGER)
def test_whoever_is_not_known_hears_401(guarded, hook, body):
    """Without a token every hook answers 401, whatever the body."""
    scene, _ = guarded
    answer = scene.post(f"/flagger/{hook.value}", body)
    assert answer.status_code == ANSWERS[hook][Heard.NOT_AUTHORISED] == 401


@pytest.mark.parametrize("body", [{}, "{", "", {"policy": "nobodys"}], ids=["empty", "no JSON", "no body", "policy"])
def test_argo_hears_401_without_a_token(guarded, body):
    """Without a token there is no verdict, whatever the body: a 2xx would promote."""
    scene, _ = guarded
    answer = scene.post("/argo/analysis", body)
    assert answer.status_code == ANSWERS[Hook.ARGO][Heard.NOT_AUTHORISED] == 401
    assert answer.content_type == "application/problem+json"
    assert "verdict" not in answer.json


@pytest.mark.parametrize("name", ["reads", "cart"])
@pytest.mark.parametrize("hook", Hook)
def test_a_token_without_the_scope_hears_403(guarded, hook, name):
    """A known token may still not ask: 403, which no controller reads as a yes."""
    scene, secrets = guarded
    scene.headers = {"Authorization": f"Bearer {secrets[name]}"}
    answer = scene.argo() if hook is Hook.ARGO else scene.hook(hook.value)
    assert answer.status_code == 403


def test_flagger_hears_the_verdict_through_a_token_in_the_path(guarded):
    """All that Flagger can send is a path: the token in it opens the hook."""
    scene, secrets = guarded
    answer = scene.post(f"/t/{secrets['asks']}/flagger/rollback", CANARY)
    assert answer.status_code == 200
    assert secrets["asks"] not in answer.text


@pytest.mark.parametrize("seen", ["promote", "hold", "abort"])
@pytest.mark.parametrize("cause", [None, *DEGRADED])
def test_shadow_approves_everywhere_and_never_rolls_back(seen, cause):
    """In shadow every caller hears its promote cell, also when we are degraded."""
    scene = Scene(source=SOURCES[seen](), settings=Settings(mode=Mode.SHADOW))
    if cause:
        DEGRADED[cause](scene)
    for hook in (*WEIGHED, Hook.CONFIRM_ROLLOUT):
        assert scene.hook(hook.value).status_code == ANSWERS[hook][Heard.PROMOTE]
    found = scene.argo().json
    assert (found["verdict"], found["mode"]) == ("promote", "shadow")
    assert found["would"] == ("hold" if cause else seen)


@pytest.mark.parametrize("hook", WEIGHED)
def test_advise_turns_abort_into_hold(hook):
    """In advise an abort is a hold for everybody, and ``would`` still says abort."""
    scene = Scene(source=SOURCES["abort"](), settings=Settings(mode=Mode.ADVISE))
    assert scene.hook(hook.value).status_code == ANSWERS[hook][Heard.HOLD]
    assert (scene.argo().json["verdict"], scene.argo().json["would"]) == ("hold", "abort")
