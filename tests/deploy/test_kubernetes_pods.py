"""The pods are what the service and its image are."""

import re
from importlib.metadata import version

import pytest
from fastapi import FastAPI

from oodguard.service.settings import unknown_variables
from tests.deploy.manifests import (
    EVERYTHING,
    OVERLAYS,
    environment,
    guard,
    needs_kubectl,
    one,
    pod,
    rendered,
    requests,
    settings,
)
from tests.deploy.rules import DOCKER

DOCKERFILE = (DOCKER / "service.Dockerfile").read_text(encoding="utf-8")


@needs_kubectl
@pytest.mark.parametrize("name", EVERYTHING)
def test_every_variable_is_a_setting_that_the_service_takes(name: str) -> None:
    variables = environment(rendered(name))
    assert variables
    assert unknown_variables(variables) == []
    assert all(variable.startswith("OODGUARD_") for variable in variables)
    settings(rendered(name))


@needs_kubectl
@pytest.mark.parametrize("name", EVERYTHING)
def test_probes_ask_paths_of_the_app_at_the_port_it_listens_on(name: str, app: FastAPI) -> None:
    container, said = guard(rendered(name)), settings(rendered(name))
    (port,) = container["ports"]
    assert port["containerPort"] == said.port
    # Not the loopback interface, on which nobody outside the pod would reach it.
    assert said.host == "0.0.0.0"  # noqa: S104
    assert [path for path, _ in requests(container)] == ["/readyz", "/readyz", "/healthz"]
    for path, asked_port in requests(container):
        assert "get" in app.openapi()["paths"][path]
        assert asked_port == port["name"]


@needs_kubectl
@pytest.mark.parametrize("name", EVERYTHING)
def test_a_pod_may_take_as_long_to_end_as_it_needs_to_drain(name: str) -> None:
    said = settings(rendered(name))
    # Uvicorn gives requests their time in whole seconds; the rest is for leaving.
    assert pod(rendered(name))["terminationGracePeriodSeconds"] >= said.drain_s + said.timeout_s + 2
    # Until no proxy sends requests any more; a second or two in most clusters.
    assert said.drain_s >= 5


@needs_kubectl
@pytest.mark.parametrize("name", EVERYTHING)
def test_pods_are_refused_nothing_by_the_restricted_standard(name: str) -> None:
    spec = pod(rendered(name))
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    kinds = {kind for volume in spec["volumes"] for kind in volume if kind != "name"}
    assert kinds <= {"emptyDir", "image", "persistentVolumeClaim", "secret"}


@needs_kubectl
@pytest.mark.parametrize("name", EVERYTHING)
def test_pods_run_as_the_user_of_the_image_and_hold_no_token(name: str) -> None:
    spec = pod(rendered(name))
    user, group = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)[-1]
    said = spec["securityContext"]
    assert (said["runAsUser"], said["runAsGroup"], said["fsGroup"]) == (10001, 10001, 10001)
    assert (user, group) == ("10001", "10001")
    assert spec["automountServiceAccountToken"] is False
    account = one(rendered(name), "ServiceAccount", spec["serviceAccountName"])
    assert account["automountServiceAccountToken"] is False
    # The Service `oodguard` would set OODGUARD_PORT to an address.
    assert spec["enableServiceLinks"] is False


@needs_kubectl
@pytest.mark.parametrize("name", EVERYTHING)
def test_what_the_settings_point_at_is_mounted_and_read_only_where_it_is_only_read(
    name: str,
) -> None:
    mounts = {each["mountPath"]: each for each in guard(rendered(name))["volumeMounts"]}
    volumes = {each["name"] for each in pod(rendered(name))["volumes"]}
    assert {each["name"] for each in mounts.values()} <= volumes
    said = settings(rendered(name))
    assert "readOnly" not in mounts[str(said.state)]
    if said.models is not None:
        assert mounts[str(said.models)]["readOnly"] is True
    if said.keys_file is not None:
        assert mounts[str(said.keys_file.parent)]["readOnly"] is True
    # Whatever else is mounted is scratch.
    pointed = {said.models, said.state, said.keys_file and said.keys_file.parent}
    assert set(mounts) == {"/tmp", *map(str, pointed - {None})}  # noqa: S108


@needs_kubectl
@pytest.mark.parametrize("name", ["bundles-copy", "bundles-image", "bundles-pvc", "production"])
def test_bundles_come_from_a_volume_in_four_ways(name: str) -> None:
    assert str(settings(rendered(name)).models) == "/bundles"


@needs_kubectl
def test_bundles_are_found_in_the_image_that_the_overlay_names() -> None:
    (volume,) = (each for each in pod(rendered("bundles-image"))["volumes"] if "image" in each)
    assert volume["image"]["reference"] == "ood-guard-bundles:here"
    (copying,) = pod(rendered("bundles-copy"))["initContainers"]
    assert copying["image"] == "ood-guard-bundles:here"


@needs_kubectl
@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_runs_this_release_for_its_device(name: str) -> None:
    said, container = settings(rendered(name)), guard(rendered(name))
    tag = container["image"].rpartition(":")[2]
    assert tag == f"{version('ood-guard')}-{'gpu' if said.device == 'cuda' else 'cpu'}"
    assert said.device == ("cuda" if name == "gpu" else "cpu")
    # The quota is what threads are counted by, and a GPU is only had as a limit.
    limits = container["resources"]["limits"]
    assert limits == container["resources"]["requests"]
    assert limits.get("nvidia.com/gpu") == ("1" if name == "gpu" else None)
    assert set(limits) >= {"cpu", "memory"}
