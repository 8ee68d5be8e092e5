"""The Kubernetes manifests as rendered by `kubectl kustomize`."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import pytest
import yaml

from oodguard.service.settings import PREFIX, Settings

Manifest: TypeAlias = dict[str, Any]

KUBERNETES = Path(__file__).parents[2] / "deploy" / "kubernetes"
OVERLAYS = ("cpu", "gpu", "production")
COMPONENTS = tuple(sorted(folder.name for folder in (KUBERNETES / "components").iterdir()))
EVERYTHING = (*OVERLAYS, *COMPONENTS)

# The guard as a predictor, and the graph alone in KServe's Triton.
KSERVE_GUARD = KUBERNETES.parent / "kserve.yaml"
KSERVE_GRAPH = KUBERNETES.parents[1] / "examples" / "triton" / "kserve.yaml"

# Files without manifests: inputs of kustomize and of Helm.
NO_MANIFESTS = ("kustomization.yaml", "image-volumes.yaml", "values.yaml")


def read_all(text: str) -> list[Manifest]:
    return [each for each in yaml.safe_load_all(text) if each is not None]


def files() -> list[Path]:
    """Return the files with whole manifests, not patches, which are only valid in context."""
    found = [
        *(KUBERNETES / "base").glob("*.yaml"),
        *(KUBERNETES / "components").glob("*/*.yaml"),
        KUBERNETES / "namespace.yaml",
    ]
    return sorted(file for file in found if file.name not in NO_MANIFESTS)


@cache
def rendered(name: str) -> Sequence[Manifest]:
    """Render an overlay, or the base with one component."""
    if name in OVERLAYS:
        return kustomize(KUBERNETES / "overlays" / name)
    return composed((name,))


def composed(components: Sequence[str]) -> Sequence[Manifest]:
    """Render the base with some components, each image at the tag `here`."""
    with TemporaryDirectory() as folder:
        # kustomize requires relative paths and follows no links.
        base = os.path.relpath(KUBERNETES, Path(folder).resolve())
        overlay = {
            "resources": [f"{base}/base"],
            "components": [f"{base}/components/{each}" for each in components],
            "images": [
                {"name": name, "newTag": "here"} for name in ("ood-guard", "ood-guard-bundles")
            ],
        }
        Path(folder, "kustomization.yaml").write_text(yaml.safe_dump(overlay), encoding="utf-8")
        return kustomize(Path(folder).resolve())


def kustomize(folder: Path) -> Sequence[Manifest]:
    """Render a kustomization; skip the test if kubectl is not installed."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    done = subprocess.run(
        ["kubectl", "kustomize", folder], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return read_all(done.stdout)


def one(manifests: Sequence[Manifest], kind: str, name: str = "oodguard") -> Manifest:
    """Return the only manifest of a kind and name."""
    (found,) = (
        each for each in manifests if (each["kind"], each["metadata"]["name"]) == (kind, name)
    )
    return found


def pod(manifests: Sequence[Manifest]) -> Manifest:
    """Return the spec of the guard's pods."""
    spec: Manifest = one(manifests, "Deployment")["spec"]["template"]["spec"]
    return spec


def guard(manifests: Sequence[Manifest]) -> Manifest:
    """Return the guard's container."""
    (container,) = pod(manifests)["containers"]
    found: Manifest = container
    return found


def environment(manifests: Sequence[Manifest]) -> dict[str, str]:
    """Return the variables of the guard's container."""
    found: dict[str, str] = {}
    for source in guard(manifests)["envFrom"]:
        found |= one(manifests, "ConfigMap", source["configMapRef"]["name"])["data"]
    return found | {each["name"]: each["value"] for each in guard(manifests).get("env", [])}


def settings(manifests: Sequence[Manifest]) -> Settings:
    """Parse the variables of the guard's container."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(PREFIX)]:
            patch.delenv(name)
        for name, value in environment(manifests).items():
            patch.setenv(name, value)
        return Settings()


def prometheus_rules(*files: Path) -> list[Manifest]:
    """Return rule files as objects of prometheus-operator."""
    done = subprocess.run(
        [KUBERNETES / "prometheus-rules.sh", *files], capture_output=True, text=True, check=True
    )
    return read_all(done.stdout)
