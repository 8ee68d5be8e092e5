"""Manifests of custom kinds match the definitions of their projects.

No package contains these definitions. The tests run if CRDS names a folder with the files
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
    one,
    prometheus_rules,
    read_all,
    rendered,
)
from tests.deploy.rules import RULES

Schema: TypeAlias = dict[str, Any]
Definitions: TypeAlias = Mapping[tuple[str, str], Schema]

FOLDER = os.environ.get("CRDS")

pytestmark = pytest.mark.skipif(FOLDER is None, reason="CRDS names no folder of definitions")


@pytest.fixture(scope="module")
def definitions() -> Definitions:
    """Schemas by API version and kind."""
    found = {}
    for file in Path(FOLDER or "").glob("*.yaml"):
        spec = yaml.safe_load(file.read_text(encoding="utf-8"))["spec"]
        for version in spec["versions"]:
            schema = version["schema"]["openAPIV3Schema"]
            schema["properties"]["metadata"] = {"type": "object"}
            found[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = closed(schema)
    return found


def closed(schema: Schema) -> Schema:
    """Return a schema that rejects unknown fields, which Kubernetes silently drops."""
    if schema.get("properties") and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema.setdefault("additionalProperties", False)
    for each in schema.get("properties", {}).values():
        closed(each)
    for inner in ("items", "additionalProperties"):
        if isinstance(schema.get(inner), dict):
            closed(schema[inner])
    return schema


def errors(manifests: Sequence[Manifest], definitions: Definitions) -> list[str]:
    return [
        f"{each['metadata']['name']}: {error.json_path}: {error.message}"
        for each in manifests
        for error in Draft7Validator(definitions[each["apiVersion"], each["kind"]]).iter_errors(
            each
        )
    ]


def test_custom_resources_match_their_definitions(definitions: Definitions) -> None:
    manifests = [
        *(one(rendered(name), "ServiceMonitor") for name in ("monitoring", "production")),
        *prometheus_rules(*RULES.glob("*.yml")),
        *read_all(KSERVE_GUARD.read_text(encoding="utf-8")),
        *read_all(KSERVE_GRAPH.read_text(encoding="utf-8")),
    ]
    assert errors(manifests, definitions) == []


def test_custom_resource_check_finds_a_misspelt_field(definitions: Definitions) -> None:
    text = KSERVE_GRAPH.read_text(encoding="utf-8").replace("protocolVersion", "protocolversion")
    (error,) = errors(read_all(text), definitions)
    assert "'protocolversion' was unexpected" in error
