"""The embedded server with a certificate: served, renewed, and what a client without TLS hears."""

from __future__ import annotations

import json
import shlex
import socket
import ssl
import subprocess
import urllib.request
from urllib.parse import urlsplit

import pytest

from tests.webhook.served import served
from webhook.settings import InvalidSettings, Settings


def certificate(folder, name):
    """Write a self-signed certificate for 127.0.0.1 and its key; return the certificate as PEM."""
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    named = f"-subj /CN={name} -addext subjectAltName=IP:127.0.0.1 -keyout {folder}/tls.key -out {folder}/tls.crt"
    subprocess.run(shlex.split(f"{command} {named}"), check=True, capture_output=True)
    return (folder / "tls.crt").read_text()


@pytest.fixture
def secured(tmp_path):
    pem = certificate(tmp_path, "first")
    with served(TLS_CERT_FILE=f"{tmp_path}/tls.crt", TLS_KEY_FILE=f"{tmp_path}/tls.key") as running:
        yield running, tmp_path, pem


def health(url, pem):
    """Return what /healthz says to a client that trusts this certificate only."""
    trusting = ssl.create_default_context(cadata=pem)
    with urllib.request.urlopen(f"{url}/healthz", context=trusting, timeout=30) as answer:
        return json.loads(answer.read())


def test_it_serves_with_its_certificate(secured):
    """A client that verifies the certificate is answered, at the https address that the log named."""
    running, _, pem = secured
    assert running.url.startswith("https://127.0.0.1:")
    assert health(running.url, pem) == {"status": "alive"}


def test_a_renewed_certificate_needs_no_restart(secured):
    """A new connection gets the files as they are now: certificates of a cluster live for weeks only."""
    running, folder, first = secured
    assert health(running.url, first) == {"status": "alive"}
    second = certificate(folder, "second")
    assert health(running.url, second) == {"status": "alive"}
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        health(running.url, first)


def test_plain_http_is_refused(secured):
    """A client without TLS gets no answer of ours, and those after it are served."""
    running, _, pem = secured
    address = urlsplit(running.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"alive" not in client.recv(4096)
    assert health(running.url, pem) == {"status": "alive"}


@pytest.mark.parametrize("given", ["tls_cert_file", "tls_key_file"])
def test_certificate_and_key_come_together(given):
    """One without the other is named at the start, not at the first request."""
    missing = {"tls_cert_file": "tls_key_file", "tls_key_file": "tls_cert_file"}[given]
    with pytest.raises(InvalidSettings, match="belong together") as caught:
        Settings.from_environ({"HOME": "home"}, **{given: "file.pem"})
    assert missing in str(caught.value)
