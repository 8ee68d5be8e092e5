"""The pods match the service, its settings and its image; selectors, ports and scalers match."""

import re
from collections.abc import Sequence
from importlib.metadata import version

import pytest
from fastapi import FastAPI

from oodguard.service.settings import unknown_variables
from tests.deploy.manifests import (
    EVERYTHING,
    OVERLAYS,
    Manifest,
    environment,
    guard,
    one,
    pod,
    rendered,
    settings,
)
from tests.deploy.rules import DOCKER

Manifests = Sequence[Manifest]


@pytest.fixture(params=EVERYTHING)
def manifests(request: pytest.FixtureRequest) -> Manifests:
    """An overlay, or the base with one component."""
    return rendered(request.param)


def network_policies(manifests: Manifests) -> list[Manifest]:
    return [each["spec"] for each in manifests if each["kind"] == "NetworkPolicy"]


def test_pod_variables_are_settings(manifests: Manifests) -> None:
    variables = environment(manifests)
    assert variables
    assert unknown_variables(variables) == []
    assert all(variable.startswith("OODGUARD_") for variable in variables)


def test_pod_probes_use_existing_routes_and_the_port(manifests: Manifests, app: FastAPI) -> None:
    container, configured = guard(manifests), settings(manifests)
    (port,) = container["ports"]
    assert port["containerPort"] == configured.port
    assert configured.host == "0.0.0.0"  # noqa: S104 - loopback is not reachable from outside
    probes = {"startupProbe": "/readyz", "readinessProbe": "/readyz", "livenessProbe": "/healthz"}
    for name, path in probes.items():
        assert container[name]["httpGet"] == {"path": path, "port": port["name"]}
        assert "get" in app.openapi()["paths"][path]


def test_pod_grace_period_exceeds_drain_and_timeout(manifests: Manifests) -> None:
    configured = settings(manifests)
    grace_s = pod(manifests)["terminationGracePeriodSeconds"]
    # uvicorn rounds timeouts to whole seconds.
    assert grace_s >= configured.drain_s + configured.timeout_s + 2
    # Most clusters need a second or two until no proxy sends requests any more.
    assert configured.drain_s >= 5


def test_pod_satisfies_the_restricted_standard_and_has_no_token(manifests: Manifests) -> None:
    spec = pod(manifests)
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    dockerfile = (DOCKER / "service.Dockerfile").read_text(encoding="utf-8")
    user, group = map(int, re.findall(r"^USER (\d+):(\d+)$", dockerfile, re.MULTILINE)[-1])
    assert (
        spec["securityContext"].items()
        >= {
            "runAsNonRoot": True,
            "runAsUser": user,
            "runAsGroup": group,
            "fsGroup": group,
            "seccompProfile": {"type": "RuntimeDefault"},
        }.items()
    )
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    kinds = {kind for volume in spec["volumes"] for kind in volume if kind != "name"}
    assert kinds <= {"configMap", "emptyDir", "image", "persistentVolumeClaim", "secret"}
    account = one(manifests, "ServiceAccount", spec["serviceAccountName"])
    for each in (spec, account):
        assert each["automountServiceAccountToken"] is False
    # The Service `oodguard` would set OODGUARD_PORT to an address.
    assert spec["enableServiceLinks"] is False


def test_pod_mounts_the_folders_of_its_settings(manifests: Manifests) -> None:
    mounts = {each["mountPath"]: each for each in guard(manifests)["volumeMounts"]}
    volumes = {each["name"] for each in pod(manifests)["volumes"]}
    assert {each["name"] for each in mounts.values()} <= volumes
    configured = settings(manifests)
    assert "readOnly" not in mounts[str(configured.state)]
    keys = configured.keys_file and configured.keys_file.parent
    policy = configured.policy and configured.policy.parent
    for folder in {configured.models, keys, policy} - {None}:
        assert mounts[str(folder)]["readOnly"] is True
    expected = {configured.models, configured.state, keys, policy} - {None}
    assert set(mounts) == {"/tmp", *map(str, expected)}  # noqa: S108


def test_bundle_image_is_set_by_the_overlay() -> None:
    (volume,) = (each for each in pod(rendered("bundles-image"))["volumes"] if "image" in each)
    (container,) = pod(rendered("bundles-copy"))["initContainers"]
    assert volume["image"]["reference"] == container["image"] == "ood-guard-bundles:here"


@pytest.mark.parametrize("name", OVERLAYS)
def test_overlay_runs_this_release_on_its_device(name: str) -> None:
    configured, container = settings(rendered(name)), guard(rendered(name))
    is_gpu = name == "gpu"
    assert configured.device == ("cuda" if is_gpu else "cpu")
    tag = container["image"].rpartition(":")[2]
    assert tag == f"{version('ood-guard')}-{'gpu' if is_gpu else 'cpu'}"
    # Threads are counted by the quota, and a GPU can only be a limit.
    limits = container["resources"]["limits"]
    assert limits == container["resources"]["requests"]
    assert limits.get("nvidia.com/gpu") == ("1" if is_gpu else None)
    assert set(limits) >= {"cpu", "memory"}


def test_every_selector_selects_the_pods(manifests: Manifests) -> None:
    deployment = one(manifests, "Deployment")["spec"]
    template = deployment["template"]
    spread = template["spec"]["topologySpreadConstraints"][0]["labelSelector"]
    budget = one(manifests, "PodDisruptionBudget")["spec"]["selector"]
    policies = [policy["podSelector"] for policy in network_policies(manifests)]
    selectors = [
        each["matchLabels"] for each in (deployment["selector"], spread, budget, *policies)
    ]
    for selector in (*selectors, one(manifests, "Service")["spec"]["selector"]):
        assert selector
        assert selector.items() <= template["metadata"]["labels"].items()


def test_service_and_policies_use_the_port_of_the_container(manifests: Manifests) -> None:
    (port,) = guard(manifests)["ports"]
    (service_port,) = one(manifests, "Service")["spec"]["ports"]
    assert service_port["targetPort"] == port["name"]
    for rule in (rule for policy in network_policies(manifests) for rule in policy["ingress"]):
        assert rule["ports"] == [{"port": port["name"]}]
        assert rule["from"]  # a rule without `from` allows all sources


def test_either_the_deployment_or_an_autoscaler_sets_the_replicas(manifests: Manifests) -> None:
    deployment = one(manifests, "Deployment")
    autoscalers = [each for each in manifests if each["kind"] == "HorizontalPodAutoscaler"]
    assert ("replicas" in deployment["spec"]) != bool(autoscalers)
    for autoscaler in autoscalers:
        assert autoscaler["spec"]["scaleTargetRef"] == {
            "apiVersion": deployment["apiVersion"],
            "kind": "Deployment",
            "name": deployment["metadata"]["name"],
        }
        # Utilization is relative to the requested CPU.
        assert guard(manifests)["resources"]["requests"]["cpu"]
