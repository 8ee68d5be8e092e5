"""What KServe is asked to run is this release, with settings that it has."""

from importlib.metadata import version
from typing import Any

import pytest
import yaml

from oodguard.models.bundle import open_bundle
from oodguard.service.settings import PREFIX, Settings, unknown_variables
from tests.deploy.manifests import KSERVE_GRAPH, KSERVE_GUARD
from tests.service.checks import DOCS

# Where KServe puts what it has fetched.
FETCHED = "/mnt/models"


@pytest.fixture
def predictor() -> dict[str, Any]:
    service = yaml.safe_load(KSERVE_GUARD.read_text(encoding="utf-8"))
    assert (service["apiVersion"], service["kind"]) == (
        "serving.kserve.io/v1beta1",
        "InferenceService",
    )
    found: dict[str, Any] = service["spec"]["predictor"]
    return found


@pytest.fixture
def container(predictor: dict[str, Any]) -> dict[str, Any]:
    (found,) = predictor["containers"]
    container: dict[str, Any] = found
    return container


@pytest.fixture
def settings(container: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Settings:
    variables = {each["name"]: each["value"] for each in container["env"]}
    assert unknown_variables(variables) == []
    # KServe's own, by which it fetches the bundle.
    assert {name for name in variables if not name.startswith(PREFIX)} == {
        "STORAGE_URI",
        "PROTOCOL",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Settings()


def test_it_is_asked_where_it_listens(container: dict[str, Any], settings: Settings) -> None:
    (port,) = container["ports"]
    # Knative takes no other names than its own, and finds the port by its number.
    assert port == {"containerPort": settings.port, "protocol": "TCP"}
    asked = {"readinessProbe": "/readyz", "livenessProbe": "/healthz"}
    for probe, path in asked.items():
        assert container[probe]["httpGet"] == {"path": path, "port": settings.port}
    assert settings.host == "0.0.0.0"  # noqa: S104


def test_it_serves_what_was_fetched_and_ends_in_time(
    predictor: dict[str, Any], settings: Settings
) -> None:
    assert str(settings.bundle) == FETCHED
    assert predictor["terminationGracePeriodSeconds"] >= settings.drain_s + settings.timeout_s + 2


def test_it_is_this_release_as_its_own_user(container: dict[str, Any]) -> None:
    assert container["image"] == f"ood-guard:{version('ood-guard')}-cpu"
    assert container["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_graph_alone_is_asked_for_by_the_protocol_that_triton_speaks() -> None:
    service = yaml.safe_load(KSERVE_GRAPH.read_text(encoding="utf-8"))
    model = service["spec"]["predictor"]["model"]
    assert (model["modelFormat"], model["protocolVersion"]) == ({"name": "triton"}, "v2")
    name = service["metadata"]["name"]
    assert open_bundle(DOCS.parent / "models" / "pretrained" / name).manifest.name == name
