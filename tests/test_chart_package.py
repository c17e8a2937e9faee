"""The package of the chart: what is in it, and that it renders like the folder it was made from."""

from __future__ import annotations

import tarfile
import tomllib

import yaml

from tests import charted
from tests.charted import ROOT, needs_helm
from tests.shipped import MANIFESTS

pytestmark = needs_helm
EVERYTHING = ROOT / "tests" / "chart" / "everything.yaml"
PACKAGED = {
    "Chart.yaml", "values.yaml", "values.schema.json", "README.md", "CHANGELOG.md", "LICENSE",
    "manifests/argo/clusteranalysistemplates.yaml", "manifests/prometheus/weighbridge.rules.yaml",
    *(f"templates/{name}.tpl" for name in ("_names", "_pod", "_rules")),
    *(
        f"templates/{name}.yaml"
        for name in (
            "analysistemplates", "deployment", "horizontalpodautoscaler", "ingress", "monitors", "networkpolicy",
            "poddisruptionbudget", "policies", "rules", "service", "serviceaccount", "tokens", "volume",
        )
    ),
    "templates/NOTES.txt",
}  # fmt: skip
"""Every file of the package; a new one is added here on purpose."""


def test_the_package_holds_the_chart_and_nothing_else(tmp_path):
    """No source, test, tool or secret of the repository is packed."""
    done = charted.run("package", ".", "--destination", tmp_path)
    assert done.returncode == 0, done.stderr
    (file,) = tmp_path.iterdir()
    with tarfile.open(file) as archive:
        assert {name.removeprefix("weighbridge/") for name in archive.getnames()} == PACKAGED
    assert file.stat().st_size < 100_000


def test_what_is_packed_renders_like_the_folder(tmp_path):
    """Nothing that a template reads was left out of the package."""
    charted.run("package", ".", "--destination", tmp_path)
    (file,) = tmp_path.iterdir()
    options = ["--namespace", charted.NAMESPACE, "--kube-version", charted.KUBE_VERSION, "--values", EVERYTHING]
    assert charted.run("template", charted.RELEASE, file, *options).stdout == charted.text(EVERYTHING)


def test_ignored_is_what_is_listed():
    """No line takes back: helm reads such a line as "drop everything else"."""
    assert not [line for line in (ROOT / ".helmignore").read_text().splitlines() if line.startswith("!")]


def test_chart_image_and_project_have_one_version():
    """The version of the project is that of the chart, of its image and of the plain installation's image."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((ROOT / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == version
    assert f"image: weighbridge:{version}\n" in (MANIFESTS / "install" / "weighbridge.yaml").read_text()
