"""The KServe manifests match the service, its settings and the shipped bundles."""

from importlib.metadata import version

import pytest
import yaml

from oodguard.models.bundle import open_bundle
from oodguard.service.settings import PREFIX, Settings, unknown_variables
from tests.deploy.manifests import KSERVE_GRAPH, KSERVE_GUARD, KUBERNETES, read_all
from tests.service.checks import DOCS


def test_kserve_container_matches_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    service = yaml.safe_load(KSERVE_GUARD.read_text(encoding="utf-8"))
    predictor = service["spec"]["predictor"]
    (container,) = predictor["containers"]
    variables = {each["name"]: each["value"] for each in container["env"]}
    assert unknown_variables(variables) == []
    own = {name for name in variables if not name.startswith(PREFIX)}
    assert own == {"STORAGE_URI", "PROTOCOL"}  # variables of KServe
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings = Settings()

    # Knative accepts only its own port names, and finds the port by its number.
    assert container["ports"] == [{"containerPort": settings.port, "protocol": "TCP"}]
    (pod,) = read_all((KUBERNETES / "base" / "deployment.yaml").read_text(encoding="utf-8"))
    (in_pod,) = pod["spec"]["template"]["spec"]["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        expected = in_pod[probe]
        expected["httpGet"]["port"] = settings.port
        assert container[probe] == expected
    assert settings.host == "0.0.0.0"  # noqa: S104
    # The folder to which KServe downloads the bundle.
    assert str(settings.bundle) == "/mnt/models"
    (mounted,), (volume,) = container["volumeMounts"], predictor["volumes"]
    assert mounted == {"name": volume["name"], "mountPath": str(settings.state)}
    assert "emptyDir" in volume
    assert predictor["terminationGracePeriodSeconds"] >= settings.drain_s + settings.timeout_s + 2
    assert container["image"] == f"ood-guard:{version('ood-guard')}-cpu"


def test_kserve_graph_is_named_after_its_bundle_and_uses_protocol_v2() -> None:
    service = yaml.safe_load(KSERVE_GRAPH.read_text(encoding="utf-8"))
    model = service["spec"]["predictor"]["model"]
    assert (model["modelFormat"], model["protocolVersion"]) == ({"name": "triton"}, "v2")
    name = service["metadata"]["name"]
    assert open_bundle(DOCS.parent / "models" / "pretrained" / name).manifest.name == name
