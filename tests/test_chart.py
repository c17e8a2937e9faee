"""The chart at the root of the repository: what it renders to, and what that promises."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from tests import charted
from tests.charted import ARGO, GOLDEN, ROOT, VALUES, documents, needs_helm, only
from tests.shipped import MANIFESTS
from tests.shipped import documents as objects
from webhook.policies import Policies
from webhook.settings import Settings
from webhook.tokens import read_tokens

pytestmark = needs_helm
EVERYTHING = ROOT / "tests" / "chart" / "everything.yaml"
SECRETS = {"prometheus_basic": "user:password", "prometheus_headers": "X-Scope-OrgID: team-a"}
"""What stands in the Secrets that variables come from."""


def ids(path):
    return path.stem


def environment(found):
    """Return the container's variables, those from Secrets with what a Secret may hold."""
    (container,) = only(found, "Deployment")["spec"]["template"]["spec"]["containers"]
    prefix = "WEIGHBRIDGE_"
    return {
        one["name"]: one["value"] if "value" in one else SECRETS[one["name"].removeprefix(prefix).lower()]
        for one in container["env"]
        if one["name"].startswith(prefix)
    }


# ------------------------------------------------------------------------------------------ what it renders to


@pytest.mark.parametrize("values", VALUES, ids=ids)
def test_it_passes_lint(values):
    """Helm has nothing to complain about, warnings included."""
    done = charted.run("lint", "--strict", ".", "--values", values)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("values", VALUES, ids=ids)
def test_it_renders_to_what_is_expected(values):
    """Nothing changes unnoticed; `python -m tests.charted` writes what is expected anew."""
    assert charted.golden(values) == (GOLDEN / values.name).read_text()


def test_every_expectation_has_its_values():
    """No file of expectations is left over."""
    assert {path.name for path in GOLDEN.iterdir()} == {path.name for path in VALUES}


@pytest.mark.parametrize("values", VALUES, ids=ids)
def test_the_service_reads_what_is_set(values):
    """Every variable that the chart sets is a setting, with a value that the service takes."""
    settings = Settings.from_environ(environment(documents(values)))
    assert settings.port == 8080
    assert bool(settings.tokens_file) != settings.no_auth


@pytest.mark.parametrize("values", VALUES, ids=ids)
def test_policies_and_tokens_arrive_as_they_were_written(values, tmp_path):
    """The service reads every policy and token that stands in the values."""
    found = documents(values)
    given = yaml.safe_load(values.read_text())
    files = given.get("policies", {}).get("files", {})
    for one in found:
        if one["kind"] == "ConfigMap":
            assert one["data"].keys() == files.keys()
            for name, content in one["data"].items():
                (tmp_path / name).write_text(content)
        if one["kind"] == "Secret":
            assert len(read_tokens(one["stringData"]["tokens.yaml"].encode())) == len(given["tokens"]["entries"])
    default = given.get("policies", {}).get("default")
    read = Policies(tmp_path, default=default, clock=lambda: 0.0)
    if files:
        assert read.problems() == ()
    assert len(read.all()) == len(files)


@pytest.mark.parametrize("values", VALUES, ids=ids)
def test_everything_that_is_mounted_is_there(values):
    """Every mount has its volume, every file of a variable lies in a mount, and what we write to is writable."""
    found = documents(values)
    pod = only(found, "Deployment")["spec"]["template"]["spec"]
    mounts = {one["mountPath"]: one for one in pod["containers"][0]["volumeMounts"]}
    assert {one["name"] for one in mounts.values()} == {one["name"] for one in pod["volumes"]}
    settings = Settings.from_environ(environment(found))
    for file in (
        settings.tokens_file, settings.tls_cert_file, settings.tls_key_file, settings.prometheus_bearer_file,
        settings.prometheus_ca_file,
    ):  # fmt: skip
        if file is not None:
            assert mounts[str(file.parent)]["readOnly"]
    assert mounts[str(settings.policies)]["readOnly"]
    if settings.store.startswith("sqlite:"):
        assert "readOnly" not in mounts[settings.store.removeprefix("sqlite:").rpartition("/")[0]]
    for named in re.findall(r"_file=([^&]+)", settings.store):
        assert mounts[named.rpartition("/")[0]]["readOnly"]
    made = {one["metadata"]["name"] for one in found if one["kind"] in ("ConfigMap", "PersistentVolumeClaim")}
    for volume in pod["volumes"]:
        claim = volume.get("persistentVolumeClaim", {}).get("claimName")
        assert claim is None or claim in made


@pytest.mark.parametrize("values", VALUES, ids=ids)
def test_every_selector_finds_the_pod_and_nothing_moves_between_releases(values):
    """All selectors are the same two labels, which the pod carries; no version is among them."""
    found = documents(values)
    deployment = only(found, "Deployment")["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    expected = {"app.kubernetes.io/name": "weighbridge", "app.kubernetes.io/instance": "weighbridge"}
    assert expected.items() <= labels.items()
    for one in found:
        spec = one.get("spec", {})
        selector = spec.get("selector") or spec.get("podSelector")
        if selector:
            assert selector.get("matchLabels", selector) == expected, one["kind"]


@pytest.mark.parametrize("values", VALUES, ids=ids)
def test_no_pod_may_do_what_it_need_not(values):
    """Not root, no privileges, a read-only root, a seccomp profile, no token for the API server, in every variant."""
    pod = only(documents(values), "Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert pod["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


# ------------------------------------------------------------------------------------------ promises


def bare(document):
    """Return an object without the labels that only helm sets."""
    found = json.loads(json.dumps(document))
    labels = found["metadata"].get("labels", {})
    for name in ("app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/chart"):
        labels.pop(name, None)
    return found


def test_the_plain_installation_is_the_chart():
    """manifests/install holds exactly what the chart renders to with the values of tests/chart/plain.yaml."""
    plain = [one for one in objects(MANIFESTS / "install" / "weighbridge.yaml") if one["kind"] != "Namespace"]
    rendered = documents(ROOT / "tests" / "chart" / "plain.yaml")

    def by_kind(found):
        return {one["kind"]: bare(one) for one in found}

    assert by_kind(rendered) == by_kind(plain)


@pytest.mark.parametrize(
    ("options", "there"),
    [
        pytest.param([], False, id="no Argo Rollouts"),
        pytest.param(ARGO, True, id="Argo Rollouts is installed"),
        pytest.param(["--set", "argo.templates=always"], True, id="always"),
        pytest.param([*ARGO, "--set", "argo.templates=never"], False, id="never"),
    ],
)
def test_the_templates_of_argo_are_those_of_the_manifests(options, there):
    """The bundled ClusterAnalysisTemplates are those of manifests/argo, no word different."""
    found = [one for one in documents(None, *options) if one["kind"] == "ClusterAnalysisTemplate"]
    assert found == (objects(MANIFESTS / "argo" / "clusteranalysistemplates.yaml") if there else [])


def test_the_templates_ask_the_service_of_this_release():
    """With another name, port and TLS the templates ask where the Service is."""
    found = documents(EVERYTHING)
    service = only(found, "Service")
    (port,) = service["spec"]["ports"]
    for one in found:
        if one["kind"] == "ClusterAnalysisTemplate":
            web = one["spec"]["metrics"][0]["provider"]["web"]
            host = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc:{port['port']}"
            assert web["url"] == f"https://{host}/argo/analysis"
            assert web["insecure"] is True


def test_a_changed_policy_restarts_nothing():
    """The pod template is the same whatever the policies say: the service reads them again in place."""
    more = ["--set", "policies.files.other\\.yaml.name=other"]
    one, other = (only(documents(None, *options), "Deployment") for options in ([], more))
    assert one == other


def test_a_policy_that_is_set_is_in_the_map():
    """What is set below policies.files arrives, as text or as the policy itself."""
    more = ["--set", "policies.files.other\\.yaml.name=other", "--set-string", "policies.files.word\\.yaml=name: word"]
    data = only(documents(None, *more), "ConfigMap")["data"]
    assert {name: yaml.safe_load(text) for name, text in data.items()} == {
        "other.yaml": {"name": "other"},
        "word.yaml": {"name": "word"},
    }


def test_a_file_has_one_writer_and_redis_has_no_gap():
    """SQLite: one replica, stopped before the next starts. Redis: a new one serves before an old one goes."""
    sqlite = only(documents(None), "Deployment")["spec"]
    assert (sqlite["replicas"], sqlite["strategy"]) == (1, {"type": "Recreate"})
    redis = only(documents(ROOT / "tests" / "chart" / "redis.yaml"), "Deployment")["spec"]
    assert redis["replicas"] == 2
    assert redis["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert redis["template"]["spec"]["containers"][0]["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}
    old = documents(ROOT / "tests" / "chart" / "redis.yaml", "--kube-version", "1.29.0")
    assert "lifecycle" not in only(old, "Deployment")["spec"]["template"]["spec"]["containers"][0]


def test_the_autoscaler_alone_says_how_many():
    """With an autoscaler the Deployment names no number, which each upgrade would set back."""
    found = documents(EVERYTHING)
    assert "replicas" not in only(found, "Deployment")["spec"]
    assert only(found, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == "scales"


@pytest.mark.parametrize(
    ("options", "ports"),
    [
        pytest.param([], {9090}, id="prometheus"),
        pytest.param(["--set", "prometheus.url=https://mimir.example.com/prometheus"], {9090, 443}, id="https"),
        pytest.param(["--set", "prometheus.url=http://prometheus-server"], {9090, 80}, id="a Service at 80"),
        pytest.param(["--set", "store.kind=redis,store.redis.url=rediss://cache:6380/0"], {9090, 6380}, id="redis"),
        pytest.param(
            ["--set", r"store.kind=redis,store.redis.url=redis+sentinel://a\,b:26380/main"],
            {9090, 6379, 26379, 26380},
            id="sentinel",
        ),
        pytest.param(["--set", "networkPolicy.ports={4317},prometheus.url="], {4317}, id="others"),
    ],
)
def test_the_network_policy_lets_out_what_the_values_need(options, ports):
    """Open are names and the ports of what we were told to ask."""
    egress = only(documents(None, *options), "NetworkPolicy")["spec"]["egress"]
    assert {port["port"] for rule in egress for port in rule["ports"]} == {53, *ports}


def test_monitors_keep_the_labels_of_releases():
    """A label `namespace` of ours names a release's namespace; the scrape must not overwrite it."""
    everything, forgetful = documents(EVERYTHING), documents(ROOT / "tests" / "chart" / "forgetful.yaml")
    (service,) = only(everything, "ServiceMonitor")["spec"]["endpoints"]
    (pod,) = only(forgetful, "PodMonitor")["spec"]["podMetricsEndpoints"]
    assert service["honorLabels"] is pod["honorLabels"] is True
    assert service["port"] in [port["name"] for port in only(everything, "Service")["spec"]["ports"]]
    (container,) = only(forgetful, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert pod["port"] in [port["name"] for port in container["ports"]]


def test_the_alerts_are_those_of_the_manifests():
    """The PrometheusRule holds the rule file that tests/test_alerts.py tests."""
    (rules,) = objects(MANIFESTS / "prometheus" / "weighbridge.rules.yaml")
    assert only(documents(EVERYTHING), "PrometheusRule")["spec"] == rules


@pytest.mark.parametrize(
    ("options", "said", "unsaid"),
    [
        pytest.param(
            [],
            ["http://weighbridge.weighbridge.svc:8080", "create secret generic weighbridge-tokens", "5 minutes"],
            ["No volume", "AUTHORISATION"],
            id="default",
        ),
        pytest.param(
            ["--values", str(ROOT / "tests" / "chart" / "forgetful.yaml")],
            ["AUTHORISATION IS OFF", "No volume"],
            ["create secret generic weighbridge-tokens"],
            id="forgetful",
        ),
    ],
)
def test_the_notes_say_what_to_do_next(options, said, unsaid):
    """After an installation stands what is still missing, and what an outage does."""
    done = charted.run("install", "weighbridge", ".", "--namespace", "weighbridge", "--dry-run=client", *options)
    notes = done.stdout.partition("NOTES:")[2]
    assert [word for word in said if word not in notes] == []
    assert [word for word in unsaid if word in notes] == []
