"""Authorisation: which credentials are found, what they allow, when it is off, and that no token leaks."""

from __future__ import annotations

import base64
import json

import pytest
import yaml

from webhook.auth import ANONYMOUS, PATH_TOKEN, Guard, PathToken, digest_of, new_token
from webhook.errors import Forbidden, NotAuthorised
from webhook.settings import InvalidSettings, Settings
from webhook.tokens import Principal, Scope, Verb, read_tokens

NOW = 1_700_000_000.0


@pytest.fixture
def secret_and_entry():
    return new_token("argo-in-shop", ["ask", "read"], ["shop", "shop-*"])


@pytest.fixture
def secret(secret_and_entry):
    return secret_and_entry[0]


@pytest.fixture
def tokens_file(tmp_path, secret_and_entry):
    path = tmp_path / "tokens.yaml"
    path.write_text(yaml.safe_dump([secret_and_entry[1]]))
    return path


@pytest.fixture
def guard(tokens_file):
    return Guard(tokens_file, clock=lambda: NOW)


def bearer(token):
    return {"HTTP_AUTHORIZATION": f"Bearer {token}"}


def basic(user, password):
    return {"HTTP_AUTHORIZATION": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize(
    "carry",
    [
        pytest.param(bearer, id="bearer"),
        pytest.param(lambda t: {"HTTP_AUTHORIZATION": f"bearer   {t} "}, id="bearer in another case"),
        pytest.param(lambda t: {"HTTP_X_API_KEY": t}, id="API key"),
        pytest.param(lambda t: basic("anything", t), id="password of Basic"),
        pytest.param(lambda t: {PATH_TOKEN: t}, id="path"),
        pytest.param(lambda t: {**bearer("of-the-mesh"), "HTTP_X_API_KEY": t}, id="beside a foreign bearer"),
    ],
)
def test_a_token_is_found_wherever_it_may_stand(guard, secret, carry):
    """Every way a controller or a person can send a token leads to the same principal."""
    assert guard.authorise(carry(secret), Verb.ASK, "shop").name == "argo-in-shop"


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({}, id="nothing"),
        pytest.param(bearer("wb_wrong"), id="unknown"),
        pytest.param(bearer(""), id="empty"),
        pytest.param({"HTTP_AUTHORIZATION": "Basic %%%"}, id="Basic that is no base64"),
        pytest.param({"HTTP_AUTHORIZATION": "Basic /w=="}, id="Basic that is no text"),
        pytest.param(basic("user", ""), id="Basic without a password"),
        pytest.param(bearer("caf\udce9\xff"), id="not ASCII"),
        pytest.param({"HTTP_AUTHORIZATION": "Digest x"}, id="another scheme"),
        pytest.param({PATH_TOKEN: "wb_wrong"}, id="wrong path token"),
    ],
)
def test_without_a_known_token_nobody_is_authorised(guard, environ):
    """Anything else is 401, never an error of ours."""
    with pytest.raises(NotAuthorised):
        guard.authorise(environ, Verb.ASK, "shop")


def test_the_hash_is_no_token(guard, secret):
    """Who reads the tokens file cannot ask with what stands in it."""
    with pytest.raises(NotAuthorised, match="not known"):
        guard.authorise(bearer(digest_of(secret)), Verb.ASK, "shop")


@pytest.mark.parametrize(
    ("verb", "namespace", "allowed"),
    [
        pytest.param(Verb.ASK, "shop", True, id="its namespace"),
        pytest.param(Verb.ASK, "shop-eu", True, id="by glob"),
        pytest.param(Verb.READ, "shop", True, id="its other verb"),
        pytest.param(Verb.ASK, None, True, id="anywhere at all"),
        pytest.param(Verb.ASK, "bank", False, id="another namespace"),
        pytest.param(Verb.ASK, "", False, id="no namespace in particular"),
        pytest.param(Verb.ASK, "SHOP", False, id="case counts"),
        pytest.param(Verb.OPERATE, "shop", False, id="another verb"),
        pytest.param(Verb.ASSIGN, None, False, id="another verb, anywhere"),
    ],
)
def test_a_scope_is_a_verb_in_a_namespace(guard, secret, verb, namespace, allowed):
    """A token in Git may ask for its namespaces, and nothing else."""
    if allowed:
        guard.authorise(bearer(secret), verb, namespace)
        return
    with pytest.raises(Forbidden, match=f"'argo-in-shop' may not {verb}"):
        guard.authorise(bearer(secret), verb, namespace)


def test_a_star_covers_what_has_no_namespace():
    """Only a token for every namespace may do what concerns all."""
    assert Principal(name="x", scopes=(Scope(verb=Verb.OPERATE, namespaces=("*",)),)).may(Verb.OPERATE, "")


@pytest.mark.parametrize(
    ("expires", "known"),
    [
        pytest.param("2023-11-14T22:13:21Z", True, id="in a second"),
        pytest.param("2023-11-14T22:13:20Z", False, id="now"),
        pytest.param("2023-11-15T00:13:19+02:00", False, id="a second ago, in another zone"),
        pytest.param("2023-11-15", True, id="a day"),
    ],
)
def test_a_token_ends_when_it_says(tmp_path, expires, known):
    """After its end a token is 401, and the answer says since when."""
    token, entry = new_token("short", ["ask"], ["*"], expires=expires)
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps([entry]))
    guard = Guard(path, clock=lambda: NOW)
    if known:
        assert guard.authorise(bearer(token), Verb.ASK, "").name == "short"
        return
    with pytest.raises(NotAuthorised, match="'short' expired at 2023-11-14T22:13"):
        guard.authorise(bearer(token), Verb.ASK, "")


def test_yaml_dates_are_read_as_dates():
    """YAML makes times of what looks like one; both forms end at the same second."""
    entry = new_token("x", ["ask"], ["*"])[1]
    text = yaml.safe_dump([entry])
    ends = [
        read_tokens(f"{text}  expires: {written}\n".encode())[0].expires
        for written in ("2027-01-31T00:00:00Z", '"2027-01-31T00:00:00Z"', "2027-01-31", "2027-01-31 00:00:00")
    ]
    assert ends == [1_801_353_600.0] * 4


def test_a_changed_file_is_in_force_at_the_next_request(guard, tokens_file, secret):
    """A revoked token ends, a new one begins, without a restart."""
    newer, entry = new_token("newer", ["ask"], ["*"])
    tokens_file.write_text(json.dumps([entry]))
    assert guard.authorise(bearer(newer), Verb.ASK, "shop").name == "newer"
    with pytest.raises(NotAuthorised):
        guard.authorise(bearer(secret), Verb.ASK, "shop")


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda p: p.write_text("- {name: half"), id="broken"),
        pytest.param(lambda p: p.write_text(""), id="empty"),
        pytest.param(lambda p: p.unlink(), id="gone"),
    ],
)
def test_a_broken_new_file_leaves_the_old_tokens_in_force(guard, tokens_file, secret, spoil):
    """A slip in the file locks nobody out, and is named until it is mended."""
    good = tokens_file.read_text()
    spoil(tokens_file)
    assert guard.problem.startswith("tokens.yaml: ")
    assert guard.authorise(bearer(secret), Verb.ASK, "shop").name == "argo-in-shop"
    tokens_file.write_text(good + "\n")
    assert guard.problem is None
    assert guard.authorise(bearer(secret), Verb.ASK, "shop").name == "argo-in-shop"


HASH = "sha256:" + "0" * 64
SCOPES = [{"verb": "ask", "namespaces": ["*"]}]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param({"tokens": []}, "must be a list", id="no list"),
        pytest.param(["x"], "/0: must be a mapping", id="no mapping"),
        pytest.param([{"name": "a", "scopes": SCOPES}], "/0/hash: is missing", id="no hash"),
        pytest.param([{"name": "a", "hash": "hunter2", "scopes": SCOPES}], "/0/hash: must be sha256", id="no digest"),
        pytest.param([{"name": 7, "hash": HASH, "scopes": SCOPES}], "/0/name: must be text", id="name"),
        pytest.param([{"name": "a", "hash": HASH, "scopes": []}], "/0/scopes: must be a list", id="no scope"),
        pytest.param(
            [{"name": "a", "hash": HASH, "scopes": [{"verb": "rule", "namespaces": ["*"]}]}],
            "/0/scopes/0/verb: must be one of 'ask', 'operate', 'assign', 'read', got 'rule'",
            id="verb",
        ),
        pytest.param(
            [{"name": "a", "hash": HASH, "scopes": [{"verb": "ask", "namespaces": "*"}]}],
            "/0/scopes/0/namespaces: must be a list",
            id="namespaces",
        ),
        pytest.param(
            [{"name": "a", "hash": HASH, "scopes": SCOPES, "expire": "x"}], "/0/expire: unknown key", id="unknown key"
        ),
        pytest.param(
            [{"name": "a", "hash": HASH, "scopes": SCOPES, "expires": "soon"}],
            "/0/expires: must be a time .* got 'soon'",
            id="time",
        ),
        pytest.param([{"name": "a", "hash": HASH, "scopes": SCOPES}] * 2, "/1/name: is there twice", id="twice"),
    ],
)
def test_a_wrong_file_stops_the_start(tmp_path, content, says):
    """The message names place, rule and value, but never what may be a secret."""
    path = tmp_path / "tokens.yaml"
    path.write_text(json.dumps(content))
    with pytest.raises(InvalidSettings, match=f"tokens_file: tokens.yaml: {says}") as raised:
        Guard(path)
    assert "hunter2" not in str(raised.value)


def test_a_missing_file_stops_the_start(tmp_path):
    """Without its tokens a guarded service would lock everybody out."""
    with pytest.raises(InvalidSettings, match="No such file"):
        Guard(tmp_path / "absent.yaml")


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 81])
def test_a_token_gets_a_name_that_can_be_shown(name):
    """A new token is refused as the file would refuse it."""
    with pytest.raises(ValueError, match="name: must be text"):
        new_token(name, ["ask"], ["*"])


def test_every_new_token_is_another():
    """Secrets are random, long, fit into a path, and do not stand in their entry."""
    made = [new_token("x", ["ask"], ["*"]) for _ in range(20)]
    assert len({secret for secret, _ in made}) == 20
    for secret, entry in made:
        assert len(secret) > 40
        assert secret.replace("_", "").replace("-", "").isalnum()
        assert secret not in json.dumps(entry)


@pytest.mark.parametrize(
    ("settings", "required"),
    [
        pytest.param({"listen": "127.0.0.1:8080"}, False, id="loopback"),
        pytest.param({"listen": "[::1]:8080"}, False, id="loopback of IPv6"),
        pytest.param({"listen": "localhost:8080"}, False, id="localhost"),
        pytest.param({"listen": "0.0.0.0:8080", "no_auth": True}, False, id="switched off by name"),
    ],
)
def test_without_tokens_everybody_may(settings, required):
    """On loopback, or switched off by name, nobody is asked for a token."""
    guard = Guard.from_settings(Settings(**settings))
    assert guard.required is required
    assert guard.authorise({}, Verb.OPERATE, "") is ANONYMOUS


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", "[::]:8080", "10.0.0.7:8080", "weighbridge.example:8080"])
def test_beyond_loopback_tokens_are_needed_to_start(listen):
    """A service that everybody could command does not start by accident."""
    with pytest.raises(InvalidSettings, match=r"anybody who reaches it could move a release.*no_auth"):
        Guard.from_settings(Settings(listen=listen))


def test_tokens_are_asked_for_on_loopback_too(tokens_file, secret):
    """Whoever gives tokens means them, wherever we listen."""
    guard = Guard.from_settings(Settings(tokens_file=tokens_file))
    with pytest.raises(NotAuthorised):
        guard.authorise({}, Verb.ASK, "shop")
    assert guard.authorise(bearer(secret), Verb.ASK, "shop")


def test_tokens_and_no_tokens_contradict(tokens_file):
    """Nobody has to guess which of the two wins."""
    with pytest.raises(InvalidSettings, match="contradicts tokens_file"):
        Guard.from_settings(Settings(tokens_file=tokens_file, no_auth=True))


@pytest.mark.parametrize(
    ("environ", "allowed"),
    [
        pytest.param({"HTTP_HOST": "127.0.0.1:8080"}, True, id="address"),
        pytest.param({"HTTP_HOST": "localhost:8080", "HTTP_ORIGIN": "http://localhost:8080"}, True, id="own page"),
        pytest.param({"HTTP_HOST": "[::1]:8080"}, True, id="IPv6"),
        pytest.param({"HTTP_HOST": "evil.example:8080"}, False, id="a name that points here"),
        pytest.param({"HTTP_HOST": "localhost:8080", "HTTP_ORIGIN": "https://evil.example"}, False, id="foreign page"),
        pytest.param({"HTTP_HOST": "localhost:8080", "HTTP_ORIGIN": "null"}, False, id="page without origin"),
        pytest.param({"HTTP_HOST": "[::1"}, False, id="no host at all"),
    ],
)
def test_on_loopback_a_web_page_cannot_speak_for_its_reader(environ, allowed):
    """Without tokens a browser is no way in for somebody else's page."""
    guard = Guard.from_settings(Settings())
    if allowed:
        assert guard.authorise(environ, Verb.OPERATE, "") is ANONYMOUS
        return
    with pytest.raises(Forbidden, match="only this machine"):
        guard.authorise(environ, Verb.OPERATE, "")


def seen_through(path, **rest):
    """Return the environment that the application behind `PathToken` gets."""
    seen = []
    PathToken(lambda environ, start: seen.append(environ) or [])({"PATH_INFO": path, **rest}, None)
    return seen[0]


@pytest.mark.parametrize(
    ("path", "token", "inner"),
    [
        pytest.param("/t/wb_x/flagger/rollout", "wb_x", "/flagger/rollout", id="token"),
        pytest.param("/t/wb_x", "wb_x", "/", id="nothing behind it"),
        pytest.param("/t/wb_x/t/y", "wb_x", "/t/y", id="only the first"),
        pytest.param("/flagger/rollout", None, "/flagger/rollout", id="none"),
        pytest.param("/a/t/wb_x/b", None, "/a/t/wb_x/b", id="elsewhere in the path"),
        pytest.param("/t//x", None, "/t//x", id="empty"),
        pytest.param("", None, "", id="no path"),
    ],
)
def test_the_path_token_is_taken_out_of_the_path(path, token, inner):
    """The application routes and logs a path without secrets."""
    environ = seen_through(path)
    assert (environ.get(PATH_TOKEN), environ["PATH_INFO"]) == (token, inner)


def test_no_form_of_the_request_line_keeps_the_token():
    """What the server left of the raw request is redacted too; only our own key holds the token."""
    raw = "/t/wb_secret/flagger/rollout?policy=x"
    environ = seen_through("/t/wb_secret/flagger/rollout", RAW_URI=raw, REQUEST_URI=raw, QUERY_STRING="policy=x")
    assert environ.pop(PATH_TOKEN) == "wb_secret"
    assert environ["RAW_URI"] == environ["REQUEST_URI"] == "/flagger/rollout?policy=x"
    assert "wb_secret" not in repr(environ)


def test_a_client_cannot_set_our_key():
    """The key is ours: what was there before the middleware does not count."""
    assert PATH_TOKEN not in seen_through("/v1/analysis", **{PATH_TOKEN: "smuggled"})
