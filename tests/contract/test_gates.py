"""Gates over HTTP: the load tester's answers in every cell, and what is added to them."""

from __future__ import annotations

import json

import pytest

from tests.contract.gate_requests import APPROVED, CONSTANT, FORBIDDEN, KEPT, SEQUENCES, WEB
from tests.contract.scene import SOURCES, Scene, strict
from webhook.answers import GATE_ANSWERS, Action, Reply
from webhook.auth import new_token
from webhook.gates import ACTIONS
from webhook.settings import Settings

PROMOTION = "?hook=confirm-promotion"


@pytest.fixture
def scene():
    return Scene(source=SOURCES["hold"]())


def send(scene, path, body=WEB, method="POST"):
    answer = scene.client.open(path, method=method, data=body, headers=scene.headers)
    return answer.status_code, answer.text


def body(checksum="r1", **more):
    return json.dumps({"name": "web", "namespace": "shop", "checksum": checksum, **more})


@pytest.mark.parametrize("said", CONSTANT, ids=lambda said: f"{said.method} {said.path} {said.body[:8]}")
def test_constant_gates_answer_as_the_load_tester(scene, said):
    """Always open, always closed, whatever is sent."""
    assert send(scene, said.path, said.body, said.method) == (said.status, said.text)


@pytest.mark.parametrize("name", list(SEQUENCES))
def test_gates_answer_as_the_load_tester(scene, name):
    """Status and text of every request in turn."""
    for said in SEQUENCES[name]:
        assert send(scene, said.path, said.body, said.method) == (said.status, said.text), said


def test_answers_have_the_load_testers_types(scene):
    """Words are plain text, and no words have no type; nothing is cached."""
    answer = scene.post("/gate/check", WEB)
    assert answer.content_type == "text/plain; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Content-Type" not in scene.post("/gate/open", WEB).headers


# ------------------------------------------------------------------------ every cell of the table


def reach(action, reply, tmp_path):
    """Return status and text of a request that comes to this cell."""
    secret, entry = new_token("pay only", ["ask", "operate"], ["pay"])
    full, allowed = new_token("all", ["ask", "operate"], ["*"])
    none, reader = new_token("reader", ["read"], ["*"])
    tokens = tmp_path / "tokens.yaml"
    tokens.write_text(json.dumps([entry, allowed, reader]))
    scene = Scene(source=SOURCES["hold"](), settings=Settings(tokens_file=tokens))
    scene.headers["Authorization"] = f"Bearer {full}"
    path, sent = f"/gate/{action.value}", WEB
    if reply is Reply.OPEN and action is Action.CHECK:
        send(scene, "/gate/open")
    elif reply is Reply.UNREADABLE:
        sent = "[]"
    elif reply is Reply.WRONG_OPTION:
        path += "?hook=never"
    elif reply is Reply.FORBIDDEN:
        scene.headers["Authorization"] = f"Bearer {none if action in (Action.APPROVE, Action.HALT) else secret}"
    elif reply is Reply.NOT_AUTHORISED:
        scene.headers.clear()
    elif reply is Reply.DEGRADED:
        scene.store.down = True
    return send(scene, path, sent)


@pytest.mark.parametrize(
    ("action", "reply"),
    [pytest.param(action, reply, id=f"{action}: {reply}") for action, row in GATE_ANSWERS.items() for reply in row],
)
def test_every_cell_is_answered_by_the_table(tmp_path, action, reply):
    """The status, and the text where the load tester has one."""
    status, text = GATE_ANSWERS[action][reply]
    found = reach(action, reply, tmp_path)
    assert found[0] == status
    if reply in (Reply.WRONG_OPTION, Reply.DEGRADED):
        assert found[1].startswith(text)
        assert len(found[1]) > len(text) + 10
    elif reply is not Reply.NOT_AUTHORISED:
        assert found[1] == text


def test_the_table_has_a_row_for_every_action():
    """Nothing can be asked that has no answer."""
    assert set(GATE_ANSWERS) == set(Action) == {action for actions in ACTIONS.values() for action in actions}


@pytest.mark.parametrize("gate", ["gate", "rollback"])
def test_without_the_store_nothing_is_open_and_nothing_is_kept(scene, gate):
    """A check hears the load tester's word with the reason, a word is refused; both work again when it is back."""
    send(scene, f"/{gate}/open")
    scene.store.down = True
    status, text = send(scene, f"/{gate}/check")
    assert (status, text[:11]) == (403, "Forbidden: ")
    assert "the store was taken down" in text
    assert send(scene, f"/{gate}/close")[0] == 503
    scene.store.down = False
    assert send(scene, f"/{gate}/check") == APPROVED


# ------------------------------------------------------------------------------- hook, revision


def test_a_gate_may_be_opened_for_one_hook(scene):
    """A check that names its hook in the URL or in metadata is let through, others are not."""
    assert send(scene, "/gate/open", body(hook="confirm-promotion")) == KEPT
    assert send(scene, f"/gate/check{PROMOTION}") == APPROVED
    assert send(scene, "/gate/check", body(metadata={"hook": "confirm-promotion"})) == APPROVED
    assert send(scene, "/gate/check?hook=confirm-traffic-increase") == FORBIDDEN
    assert send(scene, "/gate/check") == FORBIDDEN


def test_a_gate_may_be_opened_for_one_revision(scene):
    """The checksum of the check decides; the next revision finds it closed."""
    assert send(scene, f"/gate/open{PROMOTION}&revision=r1") == KEPT
    assert send(scene, f"/gate/check{PROMOTION}", body("r1")) == APPROVED
    assert send(scene, f"/gate/check{PROMOTION}", body("r2")) == FORBIDDEN
    assert send(scene, "/rollback/open?revision=r1") == KEPT
    assert send(scene, "/rollback/check", body("r1")) == APPROVED
    assert send(scene, "/rollback/check?hook=rollback", body("r2")) == FORBIDDEN


def test_confirm_rollout_knows_no_revision(scene):
    """Flagger sends the checksum of the release before there: what was opened for that one stays closed."""
    assert send(scene, "/gate/open?hook=confirm-rollout&revision=r1")[0] == 400
    send(scene, f"/gate/open{PROMOTION}&revision=r1")
    assert send(scene, "/gate/check?hook=confirm-rollout", body("r1")) == FORBIDDEN
    send(scene, "/gate/open?hook=confirm-rollout")
    assert send(scene, "/gate/check?hook=confirm-rollout", body("r1")) == APPROVED


# --------------------------------------------------------------------------------- time, and use


@pytest.mark.parametrize("where", ["query", "body"])
def test_an_open_gate_may_run_out(scene, where):
    """After its time it is closed by itself, also where it was open for ever before."""
    send(scene, "/gate/open")
    query, sent = ("?expires_in=30m", WEB) if where == "query" else ("", body(expires_in="30m"))
    assert send(scene, f"/gate/open{query}", sent) == KEPT
    scene.clock.advance(1799)
    assert send(scene, "/gate/check") == APPROVED
    scene.clock.advance(1)
    assert send(scene, "/gate/check") == FORBIDDEN


@pytest.mark.parametrize(
    ("opened", "checked"),
    [pytest.param("?once=true", "", id="opened for one"), pytest.param("", "?once=true", id="the hook takes one")],
)
def test_a_gate_may_close_after_use(scene, opened, checked):
    """One check is let through; whether the word or the URL of the hook says so."""
    assert send(scene, f"/gate/open{opened}") == KEPT
    assert [send(scene, f"/gate/check{checked}") for _ in range(3)] == [APPROVED, FORBIDDEN, FORBIDDEN]
    send(scene, f"/gate/open{opened}")
    assert send(scene, f"/gate/check{checked}") == APPROVED


def test_a_gate_that_opens_once_lets_one_of_two_through(scene):
    """Two replicas that are asked at the same moment: the store takes one of them."""
    send(scene, "/gate/open?once=1")
    read, found = scene.store.inner.gates, []

    def read_while_another_passes(canary):
        document = read(canary)
        if not found:
            found.append(None)
            found[0] = send(scene, "/gate/check")
        return document

    scene.store.inner.gates = read_while_another_passes
    assert send(scene, "/gate/check") == FORBIDDEN
    assert found == [APPROVED]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/gate/check?hook=promote", "hook: must be one of confirm-rollout, pre-rollout"),
        ("/gate/open?expires_in=soon", "expires_in: must be a duration longer than 0 like 30s 5m 4h 7d, got 'soon'"),
        ("/gate/open?expires_in=0s", "expires_in: must be a duration longer than 0"),
        ("/gate/open?once=maybe", "once: must be true or false, got 'maybe'"),
        ("/gate/open?revision=r1", "revision: needs its hook"),
        ("/gate/close?expires_in=1h", "means nothing at close"),
        ("/gate/close?once=true", "means nothing at close"),
        ("/rollback/open?hook=rollout", "hook: must be rollback or absent"),
        ("/gate/open?actor=" + "x" * 301, "actor: must be text of at most 300 characters"),
    ],
)
def test_a_wrong_option_is_refused_with_the_rule(scene, path, says):
    """Option, rule and value in one line, and nothing is changed."""
    status, text = send(scene, path)
    assert status == 400
    assert says in text
    assert scene.get("/v1/gates").json["gates"] == []


# ------------------------------------------------------------------------------ who, and the list


def test_every_word_and_use_is_kept_with_its_actor(scene):
    """Who opened what, when and why, what became of it, newest first."""
    send(scene, f"/gate/open{PROMOTION}&revision=r1&once=true", body(actor="Ann", reason="checked  the\ndashboard"))
    scene.clock.advance(60)
    send(scene, f"/gate/check{PROMOTION}", body("r1"))
    scene.clock.advance(60)
    send(scene, "/rollback/open?expires_in=5m&actor=Bob")
    found = strict(scene.get("/v1/gates/shop/web").text)
    assert {key: found[key] for key in ("cluster", "namespace", "name")} == {
        "cluster": "", "namespace": "shop", "name": "web",
    }  # fmt: skip
    rollback, promotion = found["gates"]
    assert rollback == {
        "gate": "rollback", "hook": None, "revision": None, "state": "open", "actor": "Bob", "principal": "anonymous",
        "reason": "", "at": "2001-09-09T01:48:40Z", "expires_at": "2001-09-09T01:53:40Z",
        "once": False, "used_at": None,
    }  # fmt: skip
    assert (promotion["state"], promotion["used_at"]) == ("used", "2001-09-09T01:47:40Z")
    assert [(line["kind"], line["action"], line["actor"], line["reason"]) for line in found["history"]] == [
        ("rollback", "open", "Bob", ""),
        ("gate", "passed", "Ann", "checked the dashboard"),
        ("gate", "open", "Ann", "checked the dashboard"),
    ]
    scene.clock.advance(300)
    assert scene.get("/v1/gates/shop/web").json["gates"][0]["state"] == "expired"


def test_gates_are_listed_newest_first(scene):
    """All canaries, without their histories; one that nobody spoke about is not found."""
    for name in ("web", "cart"):
        send(scene, "/gate/open", json.dumps({"name": name, "namespace": "shop"}))
    found = strict(scene.get("/v1/gates").text)["gates"]
    assert [one["name"] for one in found] == ["cart", "web"]
    assert all("history" not in one for one in found)
    assert scene.get("/v1/gates/shop/other").status_code == 404


def test_checks_of_a_gate_nobody_spoke_about_write_nothing(scene):
    """A controller that asks every few seconds fills no store."""
    send(scene, "/gate/check")
    assert scene.store.all_gates() == []


# ------------------------------------------------------------------------------------------ auth


def test_a_token_that_may_only_ask_opens_nothing(tmp_path):
    """It stands in Git, in the URL of a hook; opening wants operate in that namespace; lists show what may be read."""
    asking, ask = new_token("flagger", ["ask"], ["shop"])
    operating, operate = new_token("on call", ["operate", "read"], ["shop"])
    reading, read = new_token("other team", ["read"], ["pay"])
    tokens = tmp_path / "tokens.yaml"
    tokens.write_text(json.dumps([ask, operate, read]))
    scene = Scene(source=SOURCES["hold"](), settings=Settings(tokens_file=tokens))
    assert send(scene, f"/t/{asking}/gate/check") == FORBIDDEN
    assert send(scene, f"/t/{asking}/gate/approve") == (200, "OK")
    assert send(scene, f"/t/{asking}/gate/open") == FORBIDDEN
    assert send(scene, f"/t/{asking}/gate/check") == FORBIDDEN
    assert send(scene, f"/t/{operating}/gate/open") == KEPT
    assert send(scene, f"/t/{asking}/gate/check") == APPROVED
    assert send(scene, f"/t/{operating}/gate/check") == FORBIDDEN
    assert send(scene, "/gate/check")[0] == 401
    assert send(scene, "/t/wrong/rollback/check")[0] == 401
    word = scene.get(f"/t/{operating}/v1/gates").json["gates"][0]["gates"][0]
    assert (word["actor"], word["principal"]) == ("on call", "on call")
    assert scene.get(f"/t/{reading}/v1/gates").json["gates"] == []
    assert scene.get(f"/t/{reading}/v1/gates/shop/web").status_code == 403


def test_a_gate_without_a_namespace_needs_a_token_for_all(tmp_path):
    """An empty namespace is not somebody's own."""
    secret, entry = new_token("shop", ["ask", "operate"], ["shop"])
    tokens = tmp_path / "tokens.yaml"
    tokens.write_text(json.dumps([entry]))
    scene = Scene(source=SOURCES["hold"](), settings=Settings(tokens_file=tokens))
    assert send(scene, f"/t/{secret}/gate/open", "{}") == FORBIDDEN


def test_answers_are_counted_and_logged(scene, caplog):
    """One line and one count for each answer, with closed labels."""
    caplog.set_level("INFO", logger="weighbridge")
    send(scene, "/gate/open?actor=Ann&reason=fine")
    send(scene, f"/gate/check{PROMOTION}")
    send(scene, "/rollback/check")
    metrics = scene.get("/metrics").text
    for labels in (
        'action="open",gate="gate",outcome="kept"', 'action="check",gate="gate",outcome="open"',
        'action="check",gate="rollback",outcome="closed"',
    ):  # fmt: skip
        assert f"weighbridge_gate_answers_total{{{labels}}} 1.0" in metrics
    lines = [record.weighbridge for record in caplog.records if record.weighbridge["event"] == "gate"]
    assert [line["reason"] for line in lines] == [
        "gate open: kept, Ann: fine", "gate check: open, Ann: fine", "rollback check: closed, nobody has opened it",
    ]  # fmt: skip
    assert [line["hook"] for line in lines] == [None, "confirm-promotion", None]
    assert {(line["namespace"], line["name"]) for line in lines} == {("shop", "web")}


def test_a_task_of_the_load_tester_is_not_run(scene):
    """Its command runner is not offered."""
    assert scene.post("/", {"metadata": {"type": "bash", "cmd": "true"}}).status_code in (404, 405)
