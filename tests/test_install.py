"""The plain installation: every object fits the others, and the service starts with exactly what it says."""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import urlsplit

import pytest
import yaml

from tests.shipped import MANIFESTS, documents, template, traffic
from tests.test_manifests import minutes_said
from webhook.app import create_app
from webhook.auth import new_token
from webhook.policies import Policies
from webhook.settings import Settings

PLAIN = MANIFESTS / "install" / "weighbridge.yaml"


def plain(kind):
    """Return the one object of a kind."""
    (found,) = [one for one in documents(PLAIN) if one["kind"] == kind]
    return found


def container():
    """Return the pod's specification and its only container."""
    pod = plain("Deployment")["spec"]["template"]["spec"]
    (only,) = pod["containers"]
    return pod, only


def variables():
    """Return the container's environment."""
    return {one["name"]: one["value"] for one in container()[1]["env"]}


def mounted(path):
    """Return the mount that holds a path, and its volume; fail if there is none."""
    pod, only = container()
    (mount,) = [m for m in only["volumeMounts"] if PurePosixPath(path).is_relative_to(m["mountPath"])]
    (volume,) = [v for v in pod["volumes"] if v["name"] == mount["name"]]
    return mount, volume


def test_the_service_starts_with_what_is_set(tmp_path):
    """Every variable is a setting; with them, its policies and a token the service is ready and guarded."""
    for name, text in plain("ConfigMap")["data"].items():
        (tmp_path / name).write_text(text)
    secret, entry = new_token("controllers", ["ask"], ["shop"])
    tokens = tmp_path / ".tokens.yaml"
    tokens.write_text(yaml.safe_dump([entry]))
    moved = {
        "WEIGHBRIDGE_POLICIES": str(tmp_path),
        "WEIGHBRIDGE_TOKENS_FILE": str(tokens),
        "WEIGHBRIDGE_STORE": f"sqlite:{tmp_path / 'weighbridge.db'}",
    }
    settings = Settings.from_environ({**variables(), **moved})
    client = create_app(settings, sources={"default": traffic(1.0)}).test_client()
    _, only = container()
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert client.get(only[probe]["httpGet"]["path"], headers={"Host": "10.0.0.7:8080"}).status_code == 200
    assert client.get("/readyz").get_json()["degraded"] == []
    asked = {"json": {"release": {"namespace": "shop", "name": "checkout"}}}
    assert client.post("/argo/analysis", **asked).status_code == 401
    said = client.post("/argo/analysis", **asked, headers={"Authorization": f"Bearer {secret}"})
    assert said.get_json()["policy"].startswith("default@")


def test_the_default_policy_is_in_the_folder(tmp_path):
    """The policies of the ConfigMap have no fault, and the one that is the default is among them."""
    for name, text in plain("ConfigMap")["data"].items():
        (tmp_path / name).write_text(text)
    read = Policies(tmp_path, default=variables()["WEIGHBRIDGE_DEFAULT_POLICY"], clock=lambda: 0.0)
    assert read.problems() == ()


def test_files_are_where_the_settings_look():
    """Tokens come from the Secret of the instructions, policies from the ConfigMap; the store's folder is writable."""
    given = variables()
    mount, volume = mounted(given["WEIGHBRIDGE_TOKENS_FILE"])
    assert mount["readOnly"]
    assert volume["secret"]["secretName"] == "weighbridge-tokens"
    assert "optional" not in volume["secret"], "without tokens the pod waits instead of failing"
    assert f"create secret generic {volume['secret']['secretName']} --from-file tokens.yaml" in PLAIN.read_text()
    mount, volume = mounted(given["WEIGHBRIDGE_POLICIES"])
    assert mount["readOnly"]
    assert volume["configMap"]["name"] == plain("ConfigMap")["metadata"]["name"]
    mount, volume = mounted(given["WEIGHBRIDGE_STORE"].removeprefix("sqlite:"))
    assert "readOnly" not in mount
    assert volume["persistentVolumeClaim"]["claimName"] == plain("PersistentVolumeClaim")["metadata"]["name"]
    assert mounted("/tmp/anything")[1]["emptyDir"]


def test_the_file_has_one_writer():
    """A SQLite file is never open in two pods at once, not even during an update."""
    found = plain("Deployment")["spec"]
    assert found["replicas"] == 1
    assert found["strategy"] == {"type": "Recreate"}


def test_the_pod_may_do_nothing_that_it_need_not():
    """Not root, no privileges, a read-only root, a seccomp profile, no token of the Kubernetes API."""
    pod, only = container()
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] >= 10_000
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_every_selector_finds_the_pod():
    """Service, budget and network policy select the labels of the pod."""
    labels = plain("Deployment")["spec"]["template"]["metadata"]["labels"]
    selectors = [
        plain("Deployment")["spec"]["selector"]["matchLabels"],
        plain("Service")["spec"]["selector"],
        plain("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        plain("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ]
    assert all(selector.items() <= labels.items() for selector in selectors)


def test_the_templates_ask_this_service():
    """Name, namespace and port of the Service are those that the shipped templates ask."""
    service = plain("Service")
    (port,) = service["spec"]["ports"]
    asked = urlsplit(template("weighbridge-gate")["spec"]["metrics"][0]["provider"]["web"]["url"])
    assert asked.netloc == f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc:{port['port']}"
    assert str(port["port"]) == variables()["WEIGHBRIDGE_LISTEN"].rpartition(":")[2]


def test_the_network_policy_lets_out_what_is_needed():
    """Names can be resolved, and the port of Prometheus is open."""
    ports = {port["port"] for rule in plain("NetworkPolicy")["spec"]["egress"] for port in rule["ports"]}
    assert ports == {53, urlsplit(variables()["WEIGHBRIDGE_PROMETHEUS"]).port}


def test_probes_outlast_a_slow_source():
    """While every thread waits for a slow source, no probe takes the pod out of its Service or restarts it."""
    _, only = container()
    deadline = Settings().deadline_s
    for probe in ("livenessProbe", "readinessProbe"):
        assert only[probe]["timeoutSeconds"] > deadline
        assert only[probe]["failureThreshold"] * only[probe]["periodSeconds"] > 2 * deadline


@pytest.mark.parametrize("minutes", [5, 15])
def test_it_says_what_an_outage_does(minutes):
    """The minutes after which Argo aborts stand in the manifest; test_manifests measures them."""
    assert minutes in minutes_said(PLAIN)
