"""The manifests find each other, and what watches and scales the service finds what it asks for."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.deploy.manifests import (
    EVERYTHING,
    KUBERNETES,
    Manifest,
    guard,
    needs_kubectl,
    one,
    rendered,
)

ADAPTER = KUBERNETES / "prometheus-adapter" / "values.yaml"


def selected_labels(manifests: Sequence[Manifest]) -> Any:
    return one(manifests, "Deployment")["spec"]["template"]["metadata"]["labels"]


@needs_kubectl
@pytest.mark.parametrize("name", EVERYTHING)
def test_every_selector_selects_the_pods(name: str) -> None:
    manifests = rendered(name)
    there = selected_labels(manifests)
    deployment = one(manifests, "Deployment")["spec"]
    selectors = [
        deployment["selector"]["matchLabels"],
        deployment["template"]["spec"]["topologySpreadConstraints"][0]["labelSelector"][
            "matchLabels"
        ],
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
        assert selector.items() <= there.items()


@needs_kubectl
@pytest.mark.parametrize("name", EVERYTHING)
def test_every_port_that_is_named_is_the_containers(name: str) -> None:
    manifests = rendered(name)
    (port,) = guard(manifests)["ports"]
    (offered,) = one(manifests, "Service")["spec"]["ports"]
    assert offered["targetPort"] == port["name"]
    for policy in (each for each in manifests if each["kind"] == "NetworkPolicy"):
        for way_in in policy["spec"]["ingress"]:
            assert way_in["ports"] == [{"port": port["name"]}]


@needs_kubectl
def test_only_who_is_named_gets_in_and_nothing_gets_out() -> None:
    policy = one(rendered("cpu"), "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["egress"] == []
    # A rule without `from` lets everybody in.
    assert all(way_in["from"] for way_in in policy["ingress"])


@needs_kubectl
@pytest.mark.parametrize("name", EVERYTHING)
def test_either_the_deployment_or_an_autoscaler_says_how_many_pods(name: str) -> None:
    manifests = rendered(name)
    deployment = one(manifests, "Deployment")
    scaled = [each for each in manifests if each["kind"] == "HorizontalPodAutoscaler"]
    assert ("replicas" in deployment["spec"]) != bool(scaled)
    for autoscaler in scaled:
        target = autoscaler["spec"]["scaleTargetRef"]
        assert target == {
            "apiVersion": deployment["apiVersion"],
            "kind": "Deployment",
            "name": deployment["metadata"]["name"],
        }
        # A share of what is requested: without requests there is nothing to divide by.
        assert guard(manifests)["resources"]["requests"]["cpu"]
