"""Manifests of kinds that Kubernetes does not have itself, held to their definitions.

No package brings these definitions along; with a folder of them, the files
monitoring.coreos.com_servicemonitors.yaml and _prometheusrules.yaml of prometheus-operator and
serving.kserve.io_inferenceservices.yaml of KServe:

    CRDS=FOLDER python -m pytest tests/deploy/test_custom_resources.py
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml
from jsonschema import Draft7Validator

from tests.deploy.manifests import (
    KSERVE_GRAPH,
    KSERVE_GUARD,
    Manifest,
    needs_kubectl,
    prometheus_rules,
    read_all,
    rendered,
)
from tests.deploy.rules import RULES

Schema: TypeAlias = dict[str, Any]

FOLDER = os.environ.get("CRDS")

pytestmark = pytest.mark.skipif(FOLDER is None, reason="CRDS names no folder of definitions")


@pytest.fixture(scope="module")
def definitions() -> Mapping[tuple[str, str], Schema]:
    """Schemas by version of the API, and kind."""
    found = {}
    for file in Path(FOLDER or "").glob("*.yaml"):
        spec = yaml.safe_load(file.read_text(encoding="utf-8"))["spec"]
        for version in spec["versions"]:
            schema = version["schema"]["openAPIV3Schema"]
            schema["properties"]["metadata"] = {"type": "object"}
            found[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = closed(schema)
    return found


def closed(schema: Schema) -> Schema:
    """A schema that refuses fields it does not have; Kubernetes would drop them and say nothing."""
    if schema.get("properties") and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema.setdefault("additionalProperties", False)
    for each in schema.get("properties", {}).values():
        closed(each)
    for inner in ("items", "additionalProperties"):
        if isinstance(schema.get(inner), dict):
            closed(schema[inner])
    return schema


def faults(
    manifests: Sequence[Manifest], definitions: Mapping[tuple[str, str], Schema]
) -> list[str]:
    return [
        f"{each['metadata']['name']}: {fault.json_path}: {fault.message}"
        for each in manifests
        for fault in Draft7Validator(definitions[each["apiVersion"], each["kind"]]).iter_errors(
            each
        )
    ]


@needs_kubectl
@pytest.mark.parametrize("name", ["monitoring", "production"])
def test_prometheus_operator_takes_the_service_monitor(
    name: str, definitions: Mapping[tuple[str, str], Schema]
) -> None:
    monitors = [each for each in rendered(name) if each["kind"] == "ServiceMonitor"]
    assert monitors
    assert faults(monitors, definitions) == []


def test_prometheus_operator_takes_the_rules(
    definitions: Mapping[tuple[str, str], Schema],
) -> None:
    assert faults(prometheus_rules(*RULES.glob("*.yml")), definitions) == []


@pytest.mark.parametrize("file", [KSERVE_GUARD, KSERVE_GRAPH])
def test_kserve_takes_the_inference_services(
    file: Path, definitions: Mapping[tuple[str, str], Schema]
) -> None:
    assert faults(read_all(file.read_text(encoding="utf-8")), definitions) == []


def test_a_misspelt_field_is_found(definitions: Mapping[tuple[str, str], Schema]) -> None:
    text = KSERVE_GRAPH.read_text(encoding="utf-8").replace("protocolVersion", "protocolversion")
    (fault,) = faults(read_all(text), definitions)
    assert "'protocolversion' was unexpected" in fault
