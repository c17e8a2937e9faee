"""Settings: what is read from variables and options, and what is refused in which words."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from analysis.types import Mode
from webhook.settings import InvalidSettings, Settings, variables

HOME = {"HOME": "/home-of-x"}


def read(**variables_):
    return Settings.from_environ({**HOME, **{f"WEIGHBRIDGE_{k}": v for k, v in variables_.items()}})


def test_nothing_set_is_loopback_with_a_file_in_the_state_folder():
    """The defaults serve this machine alone, and a restart forgets nothing."""
    settings = Settings.from_environ(HOME)
    assert (settings.host, settings.port, settings.on_loopback) == ("127.0.0.1", 8080, True)
    assert settings.store == "sqlite:/home-of-x/.local/state/weighbridge/weighbridge.db"
    assert settings.mode is None
    assert not settings.no_auth


@pytest.mark.parametrize(
    ("environ", "store"),
    [
        pytest.param({"XDG_STATE_HOME": "/s", **HOME}, "sqlite:/s/weighbridge/weighbridge.db", id="XDG wins"),
        pytest.param(
            {"XDG_STATE_HOME": "s", **HOME},
            "sqlite:/home-of-x/.local/state/weighbridge/weighbridge.db",
            id="a relative XDG path is ignored",
        ),
        pytest.param({"WEIGHBRIDGE_STORE": "memory:"}, "memory:", id="named, no home needed"),
    ],
)
def test_the_store_belongs_into_the_state_folder(environ, store):
    """Where state belongs is what the desktop conventions say."""
    assert Settings.from_environ(environ).store == store


def test_without_a_home_the_store_must_be_named():
    """A service that would forget everything at a restart does not begin in silence."""
    with pytest.raises(InvalidSettings, match="WEIGHBRIDGE_STORE: must be given"):
        Settings.from_environ({})


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        pytest.param("LISTEN", ":9000", "listen", "0.0.0.0:9000", id="every interface"),
        pytest.param("LISTEN", "[::1]:9000", "host", "::1", id="IPv6"),
        pytest.param("PROMETHEUS", "http://prom:9090/p/", "prometheus", "http://prom:9090/p", id="URL"),
        pytest.param("PROMETHEUS_BASIC", "u:p:w", "prometheus_basic", ("u", "p:w"), id="password with colon"),
        pytest.param(
            "PROMETHEUS_HEADERS",
            "X-Scope-OrgID: a|b; X-B: c:d",
            "prometheus_headers",
            {"X-Scope-OrgID": "a|b", "X-B": "c:d"},
            id="headers",
        ),
        pytest.param("PROMETHEUS_CA_FILE", "ca.pem", "prometheus_ca_file", Path("ca.pem"), id="path"),
        pytest.param("MODE", "shadow", "mode", Mode.SHADOW, id="mode"),
        pytest.param("MODE", "  ", "mode", None, id="empty is absent"),
        pytest.param("NO_AUTH", "TRUE", "no_auth", True, id="switch"),
        pytest.param("WORKERS", "4", "workers", 4, id="whole number"),
        pytest.param("DEADLINE", "7500ms", "deadline_s", 7.5, id="milliseconds"),
        pytest.param("RETENTION", "30d", "retention_s", 30 * 86_400.0, id="days"),
        pytest.param("SOURCE_TIMEOUT", "5", "source_timeout_s", 5.0, id="plain seconds"),
        pytest.param("BODY_LIMIT", "512KiB", "body_limit", 524_288, id="size"),
        pytest.param("LOG_LEVEL", "DEBUG", "log_level", "debug", id="word in any case"),
    ],
)
def test_a_variable_is_read_in_its_unit(variable, text, name, value):
    """Text becomes the type and unit of its field."""
    assert getattr(read(**{variable: text}), name) == value


@pytest.mark.parametrize(
    ("variable", "text", "says"),
    [
        pytest.param("LISTEN", "8080", "HOST:PORT", id="no host"),
        pytest.param("LISTEN", "h:99999", "HOST:PORT", id="no such port"),
        pytest.param("PROMETHEUS", "prom:9090", "URL", id="no scheme"),
        pytest.param("PROMETHEUS", "file:///etc/passwd", "URL", id="other scheme"),
        pytest.param("MODE", "shadw", "'shadow', 'advise', 'enforce', got 'shadw'", id="mode"),
        pytest.param("NO_AUTH", "maybe", "true or false", id="switch"),
        pytest.param("WORKERS", "0", "1 to 256", id="no worker"),
        pytest.param("WORKERS", "-1", "1 to 256", id="negative"),
        pytest.param("DEADLINE", "8 hours", "duration", id="unknown unit"),
        pytest.param("DEADLINE", "0s", "duration", id="no time"),
        pytest.param("BODY_LIMIT", "4MB", "size", id="unknown size"),
        pytest.param("STORE", "postgres://x", "sqlite:PATH, memory: or a URL", id="unknown store"),
        pytest.param("STORE", "redis://a,b", "one host; several are Sentinels", id="two servers"),
        pytest.param("STORE", "sqlite:", "sqlite:PATH", id="no path"),
        pytest.param("STORE", "sqlite::memory:", "name a file", id="SQLite without a file"),
        pytest.param("SOURCE_TIMEOUT", "8s", "shorter than the deadline of 8 s", id="no time to judge"),
        pytest.param("PROMETHEUS_HEADERS", "Bad Name: x", "pairs", id="header name"),
    ],
)
def test_a_wrong_value_names_place_and_rule(variable, text, says):
    """Whoever set it can mend it from the message alone."""
    with pytest.raises(InvalidSettings, match=says):
        read(**{variable: text})


@pytest.mark.parametrize(
    "store",
    [
        pytest.param("redis://ops:hunter2@a,b/0", id="in a Redis URL"),
        pytest.param("redis://a/0?password=hunter2", id="as an option that is none"),
        pytest.param("postgres://ops:hunter2@a/0", id="in a URL of another store"),
    ],
)
def test_a_wrong_store_is_named_without_its_password(store):
    """What is shown of a URL ends up in logs: neither user nor password nor options are."""
    with pytest.raises(InvalidSettings) as refused:
        read(STORE=store)
    assert "hunter2" not in str(refused.value)
    assert "//a" in str(refused.value)


def test_a_store_is_not_shown_with_the_settings():
    """Whoever prints the settings prints no password."""
    assert "hunter2" not in repr(read(STORE="redis://:hunter2@a"))


@pytest.mark.parametrize("store", ["memory:", "sqlite::memory:"])
def test_a_store_of_one_process_refuses_several_workers(store):
    """Two workers that remember different things would answer the same question differently."""
    with pytest.raises(InvalidSettings, match="2 workers would each remember something else"):
        read(STORE=store, WORKERS="2")


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        pytest.param("WEIGHBRIDGE_PROMETEUS", "WEIGHBRIDGE_PROMETHEUS", id="a letter is missing"),
        pytest.param("WEIGHBRIDGE_POLICY", "WEIGHBRIDGE_POLICIES", id="singular"),
        pytest.param("WEIGHBRIDGE_TOKEN_FILE", "WEIGHBRIDGE_TOKENS_FILE", id="singular inside"),
        pytest.param("WEIGHBRIDGE_DEADLINE_S", "WEIGHBRIDGE_DEADLINE", id="with its unit"),
    ],
)
def test_an_unknown_variable_names_the_nearest(variable, nearest):
    """A misspelt variable stops the start instead of being ignored, even when empty."""
    with pytest.raises(InvalidSettings, match=f"{variable}: no such setting; the nearest is {nearest}$"):
        Settings.from_environ({**HOME, variable: ""})


def test_variables_that_kubernetes_makes_are_no_mistakes():
    """A service that is called weighbridge puts its address into every container of the namespace."""
    links = {
        "WEIGHBRIDGE_SERVICE_HOST": "10.0.0.7",
        "WEIGHBRIDGE_SERVICE_PORT": "8080",
        "WEIGHBRIDGE_SERVICE_PORT_HTTP": "8080",
        "WEIGHBRIDGE_PORT": "tcp://10.0.0.7:8080",
        "WEIGHBRIDGE_PORT_8080_TCP": "tcp://10.0.0.7:8080",
        "WEIGHBRIDGE_PORT_8080_TCP_ADDR": "10.0.0.7",
        "WEIGHBRIDGE_REDIS_SERVICE_HOST": "10.0.0.8",
    }
    assert Settings.from_environ({**HOME, **links}) == Settings.from_environ(HOME)


def test_options_win_over_variables():
    """What is typed is meant; an option that was not given changes nothing."""
    environ = {**HOME, "WEIGHBRIDGE_MODE": "shadow", "WEIGHBRIDGE_WORKERS": "2"}
    settings = Settings.from_environ(environ, mode="enforce", workers=None, deadline_s=7.0)
    assert (settings.mode, settings.workers, settings.deadline_s) == (Mode.ENFORCE, 2, 7.0)
    with pytest.raises(InvalidSettings, match="--source-timeout: must be a positive duration"):
        Settings.from_environ(environ, source_timeout_s="soon")
    with pytest.raises(InvalidSettings, match="the nearest is workers"):
        Settings.from_environ(environ, worker=1)


def test_credentials_of_the_url_are_taken_out_of_it():
    """A log line with the URL shows no password; neither does the representation of the settings."""
    settings = read(PROMETHEUS="https://reader:s%40fe@prom:9090/p", PROMETHEUS_HEADERS="X-Key: s3cret")
    assert settings.prometheus == "https://prom:9090/p"
    assert settings.prometheus_basic == ("reader", "s@fe")
    assert "s@fe" not in repr(settings)
    assert "s3cret" not in repr(settings)


def test_a_wrong_secret_is_not_repeated():
    """The message names the rule without the value."""
    with pytest.raises(InvalidSettings) as raised:
        read(PROMETHEUS_BASIC="onlyapassword")
    assert "onlyapassword" not in str(raised.value)


@pytest.mark.parametrize("name", ["workers", "threads", "deadline_s", "body_limit"])
def test_numbers_given_in_code_are_checked_too(name):
    """A typed value passes no reader, but the same rule."""
    with pytest.raises(InvalidSettings, match=f"{name}: must be positive, got 0"):
        Settings(**{name: 0})


def test_every_field_has_one_variable_that_reads_it():
    """Nothing can be set in code alone, and no two fields share a variable."""
    assert len(set(variables())) == len(dataclasses.fields(Settings))
    for field in dataclasses.fields(Settings):
        assert callable(field.metadata["read"])
