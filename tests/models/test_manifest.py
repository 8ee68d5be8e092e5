import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from oodguard.models.bundle import Bundle
from oodguard.models.errors import BundleError
from oodguard.models.manifest import InputSpec, Manifest, parse_manifest

Document = dict[str, Any]


@pytest.fixture
def document(make_bundle: Callable[..., Bundle], tmp_path: Path) -> Document:
    make_bundle(tmp_path / "bundle")
    parsed: Document = json.loads((tmp_path / "bundle" / "manifest.json").read_bytes())
    return parsed


def parse(document: Document) -> Manifest:
    return parse_manifest(json.dumps(document).encode())


def test_a_manifest_survives_the_way_through_json(document: Document) -> None:
    manifest = parse(document)
    assert parse_manifest(manifest.model_dump_json().encode()) == manifest
    assert manifest.classes == ("cat", "dog", "ship")
    assert manifest.created.isoformat() == "2026-01-01T00:00:00+00:00"


@pytest.mark.parametrize("version", [2, 0, "1", None])
def test_an_unknown_schema_version_is_refused_before_anything_else(
    document: Document, version: object
) -> None:
    document |= {"schema_version": version, "a_key_of_the_future": True}
    with pytest.raises(BundleError) as refusal:
        parse(document)
    message = str(refusal.value)
    assert f"schema_version is {version!r}; this release reads 1" in message
    assert "export it anew" in message
    assert "a_key_of_the_future" not in message


def test_a_manifest_without_a_schema_version_is_refused(document: Document) -> None:
    del document["schema_version"]
    with pytest.raises(BundleError, match="schema_version is None; this release reads 1"):
        parse(document)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe\xfd", b"[" * 100_000])
def test_what_is_not_json_is_refused(text: bytes) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json is not JSON"):
        parse_manifest(text)


def test_json_that_is_no_object_is_refused() -> None:
    with pytest.raises(BundleError, match="schema_version is None"):
        parse_manifest(b"[1]")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"extra": 1}, "extra"),
        ({"name": "Upper Case"}, "name"),
        ({"name": "../elsewhere"}, "name"),
        ({"version": "1/2"}, "version"),
        ({"created": "2026-01-01T00:00:00"}, "created"),
        ({"classes": ["cat"]}, "classes"),
        ({"classes": ["cat", "cat"]}, "classes must be unique; twice or more: cat"),
        ({"scores": []}, "scores"),
        ({"scores": ["msp", "msp"]}, "scores must be unique"),
        ({"default_score": "odin"}, "default_score is 'odin'; wanted one of msp"),
        ({"input": {"height": 0, "width": 32}}, "input.height"),
        ({"input": {"height": 32, "width": 4097}}, "input.width"),
        ({"input": {"height": 32, "width": 32, "fit": "pad"}}, "input.fit"),
        ({"files": {"model.onnx": {"sha256": "abc", "bytes": 1}}}, "files.model.onnx.sha256"),
    ],
)
def test_a_manifest_against_the_schema_is_refused_naming_the_key(
    document: Document, change: Document, named: str
) -> None:
    with pytest.raises(BundleError) as refusal:
        parse(document | change)
    assert named in str(refusal.value)


def test_an_epsilon_that_is_no_pixel_distance_is_refused(document: Document) -> None:
    document["training"]["epsilon"] = 2  # 2, where 2/255 was meant
    with pytest.raises(BundleError, match=r"training\.epsilon"):
        parse(document)


ORIGIN = {"net.onnx": {"sha256": "0" * 64, "bytes": 7}}


def test_what_was_wrapped_says_which_files_it_came_in(document: Document) -> None:
    document["training"] |= {"method": "wrapped", "origin": ORIGIN}
    origin = parse(document).training.origin
    assert origin is not None
    assert origin["net.onnx"].bytes == 7


@pytest.mark.parametrize("change", [{"method": "wrapped"}, {"origin": ORIGIN}])
def test_a_method_that_contradicts_the_origin_is_refused(
    document: Document, change: Document
) -> None:
    document["training"] |= change
    with pytest.raises(BundleError, match="'wrapped' wants the files it came in"):
        parse(document)


def test_a_duration_without_end_is_refused(document: Document) -> None:
    document["training"]["duration_s"] = float("inf")
    with pytest.raises(BundleError, match=r"training\.duration_s"):
        parse(document)


def test_a_manifest_cannot_be_changed() -> None:
    spec = InputSpec(height=32, width=32)
    with pytest.raises(ValidationError):
        spec.height = 64  # type: ignore[misc]
