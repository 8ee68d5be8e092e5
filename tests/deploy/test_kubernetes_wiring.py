"""Selectors, ports and autoscalers of the manifests match each other."""

import pytest

from tests.deploy.manifests import EVERYTHING, guard, needs_kubectl, one, rendered


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
