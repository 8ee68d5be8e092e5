import json
from pathlib import Path
from typing import Any

import pytest

from oodguard.models.errors import BundleError
from oodguard.models.manifest import InputSpec, Manifest, parse_manifest
from tests.conftest import build_bundle

Document = dict[str, Any]

ORIGIN = {"net.onnx": {"sha256": "0" * 64, "bytes": 7}}


@pytest.fixture
def document(tmp_path: Path) -> Document:
    build_bundle(tmp_path / "bundle")
    parsed: Document = json.loads((tmp_path / "bundle" / "manifest.json").read_bytes())
    return parsed


def parse(document: Document) -> Manifest:
    return parse_manifest(json.dumps(document).encode())


def test_manifest_is_the_same_after_encoding_and_parsing(document: Document) -> None:
    manifest = parse(document)
    assert parse_manifest(manifest.model_dump_json().encode()) == manifest
    assert manifest.classes == ("cat", "dog", "ship")
    assert manifest.created.isoformat() == "2026-01-01T00:00:00+00:00"


@pytest.mark.parametrize("version", [4, 0, "1", None])
def test_manifest_with_an_unknown_schema_version_is_rejected_first(
    document: Document, version: object
) -> None:
    document |= {"schema_version": version, "a_key_of_the_future": True}
    with pytest.raises(BundleError) as refusal:
        parse(document)
    message = str(refusal.value)
    assert f"schema_version is {version!r}, expected one of 1, 2, 3" in message
    assert "export the bundle again" in message
    assert "a_key_of_the_future" not in message


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe\xfd", b"[" * 100_000, b"[1]"])
def test_manifest_that_is_not_a_json_object_is_rejected(text: bytes) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json is not JSON|schema_version is None"):
        parse_manifest(text)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"extra": 1}, "extra"),
        ({"name": "Upper Case"}, "name"),
        ({"name": "../elsewhere"}, "name"),
        ({"version": "1/2"}, "version"),
        ({"created": "2026-01-01T00:00:00"}, "created"),
        ({"classes": ["cat"]}, "classes"),
        ({"classes": ["cat", "cat"]}, "classes must be unique, received more than once: cat"),
        ({"scores": []}, "scores"),
        ({"scores": ["msp", "msp"]}, "scores must be unique"),
        ({"default_score": "odin"}, "default_score is 'odin', expected one of msp"),
        ({"input": {"height": 0, "width": 32}}, "input.height"),
        ({"input": {"height": 32, "width": 4097}}, "input.width"),
        ({"input": {"height": 32, "width": 32, "fit": "pad"}}, "input.fit"),
        ({"input": {"height": 32, "width": 32, "fit": "letterbox"}}, "expected 2 for the input"),
        ({"input": {"height": 32, "width": 32, "resize": 36}}, "schema_version is 1, expected 2"),
        ({"input": {"height": 32, "width": 32, "resize": 31}}, "resize is 31, expected at least"),
        (
            {"input": {"height": 32, "width": 32, "fit": "stretch", "resize": 36}},
            "expected fit 'crop' with a resize",
        ),
        ({"input": {"height": 32, "width": 32, "fill": 9}}, "expected fit 'letterbox'"),
        ({"files": {"model.onnx": {"sha256": "abc", "bytes": 1}}}, "files.model.onnx.sha256"),
        ({"training": {"epsilon": 2}}, "training.epsilon"),
        ({"training": {"duration_s": float("inf")}}, "training.duration_s"),
        ({"training": {"method": "wrapped"}}, "expected an origin for the method 'wrapped'"),
        ({"training": {"origin": ORIGIN}}, "expected an origin for the method 'wrapped'"),
    ],
)
def test_manifest_error_names_the_invalid_key(
    document: Document, change: Document, named: str
) -> None:
    if "training" in change:
        change = {"training": document["training"] | change["training"]}
    with pytest.raises(BundleError) as refusal:
        parse(document | change)
    assert named in str(refusal.value)


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": [1] * 10_000},
        {"schema_version": "x" * 10_000},
        {"classes": [f"class {number // 2}" for number in range(20_000)]},
        {"classes": ["x" * 10_000] * 2},
        {"scores": [f"score {number}" for number in range(10_000)], "default_score": "other"},
        {"default_score": "x" * 10_000},
        {"k" * 10_000: 1},
        {f"key {number}": 1 for number in range(10_000)},
    ],
)
def test_manifest_error_is_short(document: Document, change: Document) -> None:
    """The manifest may be that of another program: 300,000 keys became one message of 7 MB."""
    with pytest.raises(BundleError) as refusal:
        parse(document | change)
    assert len(str(refusal.value)) < 1000


@pytest.mark.parametrize(
    ("rule", "version"),
    [({}, 1), ({"fit": "stretch"}, 1), ({"resize": 36}, 2), ({"fit": "letterbox", "fill": 9}, 2)],
)
def test_manifest_has_the_lowest_version_that_describes_its_input(
    document: Document, rule: Document, version: int
) -> None:
    rule = {"height": 32, "width": 32, "fit": "crop", "resample": "bicubic"} | rule
    spec = InputSpec(**rule)
    assert spec.schema_version == version
    manifest = parse(document | {"schema_version": version, "input": rule})
    assert manifest.input == spec
    # A release that reads only version 1 rejects unknown keys.
    assert json.loads(manifest.model_dump_json())["input"] == rule


def test_manifest_records_the_origin_of_a_wrapped_network(document: Document) -> None:
    document["training"] |= {"method": "wrapped", "origin": ORIGIN}
    origin = parse(document).training.origin
    assert origin is not None
    assert origin["net.onnx"].bytes == 7
