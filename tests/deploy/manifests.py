"""The manifests for Kubernetes, as `kubectl kustomize` puts them together."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
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
# What no overlay puts together, beside what each component adds to the base.
COMPOSED = tuple(sorted(folder.name for folder in (KUBERNETES / "components").iterdir()))
EVERYTHING = (*OVERLAYS, *COMPOSED)

# What KServe is asked to run: the guard itself, or the graph alone in its Triton.
KSERVE_GUARD = KUBERNETES.parent / "kserve.yaml"
KSERVE_GRAPH = KUBERNETES.parents[1] / "examples" / "triton" / "kserve.yaml"

# Neither are manifests: what puts them together, and where it looks for names of images.
NO_MANIFESTS = ("kustomization.yaml", "image-volumes.yaml", "values.yaml")

needs_kubectl = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl is not installed"
)


def read_all(text: str) -> list[Manifest]:
    return [each for each in yaml.safe_load_all(text) if each is not None]


def files() -> list[Path]:
    """The files that hold whole manifests: no patches, which are only valid in their place."""
    found = [
        *(KUBERNETES / "base").glob("*.yaml"),
        *(KUBERNETES / "components").glob("*/*.yaml"),
        KUBERNETES / "namespace.yaml",
    ]
    return sorted(file for file in found if file.name not in NO_MANIFESTS)


@cache
def rendered(name: str) -> Sequence[Manifest]:
    """What an overlay, or the base with one component, comes to."""
    if name in OVERLAYS:
        return kustomize(KUBERNETES / "overlays" / name)
    return composed((name,))


def composed(components: Sequence[str]) -> Sequence[Manifest]:
    """What the base with some components comes to, each image at the tag `here`."""
    with TemporaryDirectory() as folder:
        # kustomize wants paths from its own folder, and takes no link for one.
        there = os.path.relpath(KUBERNETES, Path(folder).resolve())
        overlay = {
            "resources": [f"{there}/base"],
            "components": [f"{there}/components/{each}" for each in components],
            "images": [
                {"name": name, "newTag": "here"} for name in ("ood-guard", "ood-guard-bundles")
            ],
        }
        Path(folder, "kustomization.yaml").write_text(yaml.safe_dump(overlay), encoding="utf-8")
        return kustomize(Path(folder).resolve())


def kustomize(folder: Path) -> Sequence[Manifest]:
    """What a kustomization comes to."""
    done = subprocess.run(
        ["kubectl", "kustomize", folder], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return read_all(done.stdout)


def one(manifests: Sequence[Manifest], kind: str, name: str = "oodguard") -> Manifest:
    """The one manifest of a kind and name."""
    (found,) = (
        each for each in manifests if (each["kind"], each["metadata"]["name"]) == (kind, name)
    )
    return found


def pod(manifests: Sequence[Manifest]) -> Manifest:
    """The spec of the guard's pods."""
    spec: Manifest = one(manifests, "Deployment")["spec"]["template"]["spec"]
    return spec


def guard(manifests: Sequence[Manifest]) -> Manifest:
    """The guard's container."""
    (container,) = pod(manifests)["containers"]
    found: Manifest = container
    return found


def environment(manifests: Sequence[Manifest]) -> dict[str, str]:
    """The variables that the guard's container gets."""
    found: dict[str, str] = {}
    for source in guard(manifests)["envFrom"]:
        found |= one(manifests, "ConfigMap", source["configMapRef"]["name"])["data"]
    return found | {each["name"]: each["value"] for each in guard(manifests).get("env", [])}


def settings(manifests: Sequence[Manifest]) -> Settings:
    """What the guard makes of its variables."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(PREFIX)]:
            patch.delenv(name)
        for name, value in environment(manifests).items():
            patch.setenv(name, value)
        return Settings()


def requests(probed: Manifest) -> Iterator[tuple[str, str | int]]:
    """Path and port of every probe of a container."""
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        yield probed[name]["httpGet"]["path"], probed[name]["httpGet"]["port"]


def prometheus_rules(*files: Path) -> list[Manifest]:
    """What rule files of Prometheus are for its operator."""
    done = subprocess.run(
        [KUBERNETES / "prometheus-rules.sh", *files], capture_output=True, text=True, check=True
    )
    return read_all(done.stdout)
