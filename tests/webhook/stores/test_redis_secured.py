"""Redis with passwords, users, TLS and sockets: every form of the URL against a server that asks for it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.redis_server import RedisServer, running, wait_until
from tests.webhook.stores.documents import report
from tests.webhook.test_server_tls import certificate
from webhook.errors import StoreDown
from webhook.ports import Write
from webhook.stores.redis import RedisStore


def used(url):
    """Write and read one report through a store of its own."""
    store = RedisStore(url)
    try:
        store.write(Write(report=report("r_1")))
        assert store.report("r_1") == report("r_1")
    finally:
        store.close()


@pytest.fixture(scope="module")
def guarded():
    """A server with a password for the default user, one user of ours, and one that may not ask who it is."""
    with running("--requirepass", "p@ss:/?") as server:
        server.client.acl_setuser(
            "wb", enabled=True, passwords=["+secret"], keys=["{weighbridge}:*"], categories=["+@all"]
        )
        server.client.acl_setuser(
            "narrow", enabled=True, passwords=["+secret"], keys=["{weighbridge}:*"], categories=["+@all"],
            commands=["-info"],
        )  # fmt: skip
        yield server


@pytest.mark.parametrize(
    "user",
    [
        pytest.param(":p%40ss%3A%2F%3F", id="password, escaped"),
        pytest.param("wb:secret", id="user and password"),
        pytest.param("narrow:secret", id="a user that may not call INFO"),
    ],
)
def test_credentials_of_the_url_are_used(guarded, user):
    """As they stand before the host, escapes decoded."""
    used(f"redis://{user}@127.0.0.1:{guarded.port}")


@pytest.mark.parametrize(
    ("user", "says"),
    [
        pytest.param("", "Authentication required", id="none"),
        pytest.param(":wrong@", "(?i)invalid username-password", id="wrong password"),
        pytest.param("nobody:secret@", "(?i)invalid username-password", id="unknown user"),
    ],
)
def test_wrong_credentials_are_store_down(guarded, user, says):
    """The words are the server's; the password is in none of them."""
    with pytest.raises(StoreDown, match=says) as raised:
        used(f"redis://{user}127.0.0.1:{guarded.port}")
    assert "secret" not in str(raised.value)
    assert "wrong" not in str(raised.value)


def test_a_password_file_is_read_at_each_connection(guarded, tmp_path):
    """A mounted secret that changes is used by the next connection; a missing one is named without its folder."""
    file = tmp_path / "password"
    file.write_text("secret\n")
    store = RedisStore(f"redis://wb@127.0.0.1:{guarded.port}?password_file={file}")
    store.ping()
    guarded.client.acl_setuser("wb", enabled=True, passwords=["+changed", "-secret"])
    file.write_text("changed")
    store.close()
    store.ping()
    store.close()
    file.unlink()
    with pytest.raises(StoreDown, match="password file password: ") as raised:
        store.ping()
    assert "changed" not in str(raised.value)
    guarded.client.acl_setuser("wb", enabled=True, passwords=["+secret", "-changed"])


@pytest.fixture
def encrypted(tmp_path):
    """A server that speaks TLS on a second port, wants a certificate of the client, and the folder of both."""
    certificate(tmp_path, "redis")
    pem, private = tmp_path / "tls.crt", tmp_path / "tls.key"
    server = RedisServer(tmp_path / "server", "--appendonly", "yes", "--tls-cert-file", str(pem),
                         "--tls-key-file", str(private), "--tls-ca-cert-file", str(pem))  # fmt: skip
    spare = RedisServer(tmp_path / "spare").port
    server.add_options("--tls-port", str(spare))
    try:
        yield server.start(), spare, tmp_path
    finally:
        server.stop()


def test_tls_is_verified_in_both_directions(encrypted):
    """With the certificate to trust and our own it works; without either it is a fault that says so."""
    server, port, folder = encrypted
    ca, ours = f"ca_file={folder}/tls.crt", f"cert_file={folder}/tls.crt&key_file={folder}/tls.key"
    used(f"rediss://127.0.0.1:{port}?{ca}&{ours}")
    for options, says in (
        (ours, "CERTIFICATE_VERIFY_FAILED"),
        (ca, "(?i)certificate required|closed|reset|eof"),
        (f"ca_file={folder}/absent.crt", "No such file"),
    ):
        with pytest.raises(StoreDown, match=says):
            used(f"rediss://127.0.0.1:{port}?{options}")
    with pytest.raises(StoreDown):
        used(f"redis://127.0.0.1:{port}")
    assert server.client.ping()


def test_a_certificate_for_another_name_is_refused(encrypted):
    """The name in the URL is what the certificate must be for."""
    _, port, folder = encrypted
    options = f"ca_file={folder}/tls.crt&cert_file={folder}/tls.crt&key_file={folder}/tls.key"
    with pytest.raises(StoreDown, match=r"(?i)hostname mismatch|not valid for"):
        used(f"rediss://localhost:{port}?{options}")


def test_sentinel_and_master_over_tls_with_passwords(tmp_path):
    """Sentinel has a password and certificates of its own; the master it names is reached the same way."""
    certificate(tmp_path, "redis")
    tls = ["--tls-cert-file", f"{tmp_path}/tls.crt", "--tls-key-file", f"{tmp_path}/tls.key",
           "--tls-ca-cert-file", f"{tmp_path}/tls.crt", "--tls-auth-clients", "no"]  # fmt: skip
    master = RedisServer(tmp_path / "master", "--requirepass", "of-master", *tls)
    master_port = RedisServer(tmp_path / "spare").port
    master.add_options("--tls-port", str(master_port))
    told = (
        f"sentinel monitor wb 127.0.0.1 {master_port} 1\nsentinel auth-pass wb of-master\n"
        "requirepass of-sentinel\ntls-replication yes\n"
    )
    watching = RedisServer(tmp_path / "sentinel", "--requirepass", "of-sentinel", *tls, sentinel=told)
    sentinel_port = RedisServer(tmp_path / "spare2").port
    watching.add_options("--tls-port", str(sentinel_port))
    try:
        master.start()
        watching.start()
        url = f"rediss+sentinel://:of-master@127.0.0.1:{sentinel_port}/wb?replicas=0&persistent=no&ca_file={tmp_path}/tls.crt"
        wait_until(lambda: "wb" in watching.client.sentinel_masters(), "Sentinel knows the master")
        used(f"{url}&sentinel_password=of-sentinel")
        (tmp_path / "word").write_text("of-sentinel")
        used(f"{url}&sentinel_password_file={tmp_path}/word")
        with pytest.raises(StoreDown):
            used(url)
    finally:
        watching.stop()
        master.stop()


def test_a_socket_of_this_machine_is_used():
    """Path, password and database of a socket."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "r s.sock"
        with running("--unixsocket", str(path), "--requirepass", "p"):
            used(f"unix://:p@{folder}/r%20s.sock?db=2")
        with pytest.raises(StoreDown, match=r"r s\.sock"):
            used(f"unix://:p@{folder}/r%20s.sock?db=2")
