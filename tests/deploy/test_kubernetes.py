"""The Kubernetes manifests are valid, alone and rendered."""

import json
import re
import shutil
from functools import cache
from pathlib import Path

import kubernetes_validate
import pytest

from tests.deploy.manifests import (
    COMPONENTS,
    EVERYTHING,
    KUBERNETES,
    NO_MANIFESTS,
    OVERLAYS,
    Manifest,
    files,
    guard,
    kustomize,
    read_all,
    rendered,
    settings,
)
from tests.service.checks import DOCS

# The oldest version with image volumes, and the newest version with published schemas.
VERSIONS = ("1.31", "1.37")
CUSTOM = {"ServiceMonitor"}
PAGE = (DOCS / "kubernetes.md").read_text(encoding="utf-8")


def check(manifest: Manifest, kubernetes: str) -> None:
    """Validate a manifest against the schema of its kind, unless that is a custom one."""
    if manifest["kind"] not in CUSTOM:
        _check(json.dumps(manifest), kubernetes)


# Cached, because overlays share manifests and a validation takes a tenth of a second.
@cache
def _check(manifest: str, kubernetes: str) -> None:
    kubernetes_validate.validate(json.loads(manifest), kubernetes, strict=True)


@pytest.mark.parametrize("kubernetes", VERSIONS)
def test_manifest_file_is_valid_alone(kubernetes: str) -> None:
    manifests = [each for file in files() for each in read_all(file.read_text(encoding="utf-8"))]
    assert {each["kind"] for each in manifests} >= {"Deployment", "Namespace", *CUSTOM}
    for manifest in manifests:
        check(manifest, kubernetes)


@pytest.mark.parametrize("kubernetes", VERSIONS)
@pytest.mark.parametrize("name", EVERYTHING)
def test_rendered_manifests_are_valid(name: str, kubernetes: str) -> None:
    for manifest in rendered(name):
        check(manifest, kubernetes)


def test_manifest_check_finds_a_misspelt_field() -> None:
    manifest = read_all((KUBERNETES / "base" / "service.yaml").read_text(encoding="utf-8"))[0]
    manifest["spec"]["ports"][0]["targetport"] = "http"
    with pytest.raises(kubernetes_validate.ValidationError, match="'targetport' was unexpected"):
        check(manifest, VERSIONS[0])


def test_every_manifest_file_is_used_and_checked() -> None:
    checked = {file.name for file in files()} | set(NO_MANIFESTS) | {"deployment.yaml"}
    assert {file.name for file in KUBERNETES.rglob("*.yaml")} == checked
    assert set(OVERLAYS) == {folder.name for folder in (KUBERNETES / "overlays").iterdir()}
    for file in KUBERNETES.glob("*/**/*.yaml"):
        if file.name not in ("kustomization.yaml", "values.yaml"):
            used = (file.parent / "kustomization.yaml").read_text(encoding="utf-8")
            assert re.search(rf"- (path: )?{re.escape(file.name)}$", used, re.MULTILINE), file


def test_kubernetes_page_lists_every_component_and_overlay() -> None:
    assert tuple(sorted(re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE))) == COMPONENTS
    assert set(re.findall(r"^ +overlays/(\w+) ", PAGE, re.MULTILINE)) == set(OVERLAYS)


def test_overlay_on_the_kubernetes_page_is_valid(tmp_path: Path) -> None:
    (overlay,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    own = tmp_path / "kubernetes" / "overlays" / "own"
    own.mkdir()
    (own / "kustomization.yaml").write_text(overlay, encoding="utf-8")
    manifests = kustomize(own)
    assert settings(manifests).alpha == 0.01
    assert guard(manifests)["image"] == "registry.example.com/ood-guard:0.1.0-cpu"
    for manifest in manifests:
        check(manifest, VERSIONS[-1])
