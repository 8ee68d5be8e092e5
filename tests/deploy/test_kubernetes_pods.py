"""The pods match the service, its settings and its image, and the manifests match each other."""

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
    probes,
    rendered,
    settings,
)
from tests.deploy.rules import DOCKER

DOCKERFILE = (DOCKER / "service.Dockerfile").read_text(encoding="utf-8")


@needs_kubectl
@pytest.mark.parametrize("name", EVERYTHING)
def test_pod_variables_are_settings(name: str) -> None:
    variables = environment(rendered(name))
    assert variables
    assert unknown_variables(variables) == []
    assert all(variable.startswith("OODGUARD_") for variable in variables)
    settings(rendered(name))


@needs_kubectl
@pytest.mark.parametrize("name", EVERYTHING)
def test_pod_probes_use_existing_routes_and_the_port(name: str, app: FastAPI) -> None:
    container, configured = guard(rendered(name)), settings(rendered(name))
    (port,) = container["ports"]
    assert port["containerPort"] == configured.port
    assert configured.host == "0.0.0.0"  # noqa: S104 - loopback is not reachable from outside
    assert [path for path, _ in probes(container)] == ["/readyz", "/readyz", "/healthz"]
    for path, probed_port in probes(container):
        assert "get" in app.openapi()["paths"][path]
        assert probed_port == port["name"]


@needs_kubectl
@pytest.mark.parametrize("name", EVERYTHING)
def test_pod_grace_period_exceeds_drain_and_timeout(name: str) -> None:
    configured = settings(rendered(name))
    grace_s = pod(rendered(name))["terminationGracePeriodSeconds"]
    # uvicorn rounds timeouts to whole seconds.
    assert grace_s >= configured.drain_s + configured.timeout_s + 2
    # Most clusters need a second or two until no proxy sends requests any more.
    assert configured.drain_s >= 5


@needs_kubectl
@pytest.mark.parametrize("name", EVERYTHING)
def test_pod_satisfies_the_restricted_standard_and_has_no_token(name: str) -> None:
    spec = pod(rendered(name))
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    user, group = map(int, re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)[-1])
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
    assert kinds <= {"emptyDir", "image", "persistentVolumeClaim", "secret"}
    account = one(rendered(name), "ServiceAccount", spec["serviceAccountName"])
    for each in (spec, account):
        assert each["automountServiceAccountToken"] is False
    # The Service `oodguard` would set OODGUARD_PORT to an address.
    assert spec["enableServiceLinks"] is False


@needs_kubectl
@pytest.mark.parametrize("name", EVERYTHING)
def test_pod_mounts_the_folders_of_its_settings(name: str) -> None:
    mounts = {each["mountPath"]: each for each in guard(rendered(name))["volumeMounts"]}
    volumes = {each["name"] for each in pod(rendered(name))["volumes"]}
    assert {each["name"] for each in mounts.values()} <= volumes
    configured = settings(rendered(name))
    assert "readOnly" not in mounts[str(configured.state)]
    keys = configured.keys_file and configured.keys_file.parent
    for folder in {configured.models, keys} - {None}:
        assert mounts[str(folder)]["readOnly"] is True
    expected = {configured.models, configured.state, keys} - {None}
    assert set(mounts) == {"/tmp", *map(str, expected)}  # noqa: S108


@needs_kubectl
@pytest.mark.parametrize("name", ["bundles-copy", "bundles-image", "bundles-pvc", "production"])
def test_bundle_components_set_the_models_folder(name: str) -> None:
    assert str(settings(rendered(name)).models) == "/bundles"


@needs_kubectl
def test_bundle_image_is_set_by_the_overlay() -> None:
    (volume,) = (each for each in pod(rendered("bundles-image"))["volumes"] if "image" in each)
    assert volume["image"]["reference"] == "ood-guard-bundles:here"
    (container,) = pod(rendered("bundles-copy"))["initContainers"]
    assert container["image"] == "ood-guard-bundles:here"


@needs_kubectl
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


@needs_kubectl
@pytest.mark.parametrize("name", EVERYTHING)
def test_every_selector_selects_the_pods(name: str) -> None:
    manifests = rendered(name)
    deployment = one(manifests, "Deployment")["spec"]
    template = deployment["template"]
    spread = template["spec"]["topologySpreadConstraints"][0]["labelSelector"]
    selectors = [
        deployment["selector"]["matchLabels"],
        spread["matchLabels"],
        one(manifests, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        one(manifests, "Service")["spec"]["selector"],
        *(
            policy["spec"]["podSelector"]["matchLabels"]
            for policy in manifests
            if policy["kind"] == "NetworkPolicy"
        ),
    ]
    for selector in selectors:
        assert selector
        assert selector.items() <= template["metadata"]["labels"].items()


@needs_kubectl
@pytest.mark.parametrize("name", EVERYTHING)
def test_service_and_policies_use_the_port_of_the_container(name: str) -> None:
    manifests = rendered(name)
    (port,) = guard(manifests)["ports"]
    (service_port,) = one(manifests, "Service")["spec"]["ports"]
    assert service_port["targetPort"] == port["name"]
    for policy in (each for each in manifests if each["kind"] == "NetworkPolicy"):
        for rule in policy["spec"]["ingress"]:
            assert rule["ports"] == [{"port": port["name"]}]
            assert rule["from"]  # a rule without `from` allows all sources


@needs_kubectl
@pytest.mark.parametrize("name", EVERYTHING)
def test_either_the_deployment_or_an_autoscaler_sets_the_replicas(name: str) -> None:
    manifests = rendered(name)
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
