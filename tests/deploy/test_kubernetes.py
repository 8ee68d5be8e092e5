"""Every manifest is valid, alone and put together."""

import json
import re
import shutil
from functools import cache
from pathlib import Path

import kubernetes_validate
import pytest

from tests.deploy.manifests import (
    COMPOSED,
    EVERYTHING,
    KUBERNETES,
    NO_MANIFESTS,
    OVERLAYS,
    Manifest,
    files,
    guard,
    kustomize,
    needs_kubectl,
    read_all,
    rendered,
    settings,
)
from tests.service.checks import DOCS

# The oldest that knows image volumes, and the newest that there are schemas of.
VERSIONS = ("1.31", "1.37")
CUSTOM = {"ServiceMonitor"}
PAGE = (DOCS / "kubernetes.md").read_text(encoding="utf-8")


def check(manifest: Manifest, kubernetes: str) -> None:
    """Hold a manifest to the schema of its kind, unless that is a custom one."""
    if manifest["kind"] not in CUSTOM:
        _check(json.dumps(manifest), kubernetes)


# What overlays have in common need not be checked again: it takes a tenth of a second.
@cache
def _check(manifest: str, kubernetes: str) -> None:
    kubernetes_validate.validate(json.loads(manifest), kubernetes, strict=True)


@pytest.mark.parametrize("kubernetes", VERSIONS)
def test_each_file_is_valid_by_itself(kubernetes: str) -> None:
    manifests = [each for file in files() for each in read_all(file.read_text(encoding="utf-8"))]
    assert {each["kind"] for each in manifests} >= {"Deployment", "Namespace", *CUSTOM}
    for manifest in manifests:
        check(manifest, kubernetes)


@needs_kubectl
@pytest.mark.parametrize("kubernetes", VERSIONS)
@pytest.mark.parametrize("name", EVERYTHING)
def test_what_is_put_together_is_valid(name: str, kubernetes: str) -> None:
    for manifest in rendered(name):
        check(manifest, kubernetes)


def test_a_misspelt_field_is_found() -> None:
    manifest = read_all((KUBERNETES / "base" / "service.yaml").read_text(encoding="utf-8"))[0]
    manifest["spec"]["ports"][0]["targetport"] = "http"
    with pytest.raises(kubernetes_validate.ValidationError, match="'targetport' was unexpected"):
        check(manifest, VERSIONS[0])


def test_every_file_is_named_by_the_kustomization_beside_it() -> None:
    for file in KUBERNETES.glob("*/**/*.yaml"):
        if file.name not in ("kustomization.yaml", "values.yaml"):
            beside = (file.parent / "kustomization.yaml").read_text(encoding="utf-8")
            assert re.search(rf"- (path: )?{re.escape(file.name)}$", beside, re.MULTILINE), file


def test_nothing_lies_among_the_manifests_that_no_test_looks_at() -> None:
    looked_at = {file.name for file in files()} | set(NO_MANIFESTS) | {"deployment.yaml"}
    assert {file.name for file in KUBERNETES.rglob("*.yaml")} == looked_at
    assert set(OVERLAYS) == {folder.name for folder in (KUBERNETES / "overlays").iterdir()}


def test_the_page_tells_of_every_component_and_overlay() -> None:
    assert tuple(sorted(re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE))) == COMPOSED
    assert set(re.findall(r"^ +overlays/(\w+) ", PAGE, re.MULTILINE)) == set(OVERLAYS)


@needs_kubectl
def test_the_overlay_on_the_page_is_one(tmp_path: Path) -> None:
    (overlay,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    mine = tmp_path / "kubernetes" / "overlays" / "mine"
    mine.mkdir()
    (mine / "kustomization.yaml").write_text(overlay, encoding="utf-8")
    manifests = kustomize(mine)
    assert settings(manifests).alpha == 0.01
    assert guard(manifests)["image"] == "registry.example.com/ood-guard:0.1.0-cpu"
    for manifest in manifests:
        check(manifest, VERSIONS[-1])
