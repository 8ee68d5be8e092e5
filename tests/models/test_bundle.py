import hashlib
import json
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from oodguard.models import bundle as bundle_module
from oodguard.models.bundle import (
    CALIBRATION,
    CARD,
    EVALUATION,
    MANIFEST,
    MODEL,
    decode_evaluation,
    encode_evaluation,
    open_bundle,
)
from oodguard.models.errors import BundleError
from tests.conftest import build_bundle

FILES = (MODEL, CALIBRATION, EVALUATION, CARD, MANIFEST)
PINNED = (MODEL, CALIBRATION, EVALUATION, CARD)


def error_of(folder: Path) -> str:
    with pytest.raises(BundleError) as error:
        open_bundle(folder)
    return str(error.value)


def rewrite_manifest(folder: Path, **changes: object) -> None:
    manifest = json.loads((folder / MANIFEST).read_bytes())
    (folder / MANIFEST).write_text(json.dumps(manifest | changes))


def replace_and_record(folder: Path, name: str, content: bytes) -> None:
    """Replace a file and its record in the manifest."""
    (folder / name).write_bytes(content)
    files = json.loads((folder / MANIFEST).read_bytes())["files"]
    files[name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    rewrite_manifest(folder, files=files)


def test_open_bundle_returns_the_written_content(tmp_path: Path) -> None:
    written = build_bundle(tmp_path / "tiny", n_calibration=4, model=b"graph")
    opened = open_bundle(tmp_path / "tiny")
    assert opened.manifest == written.manifest
    assert opened.sha256 == written.sha256
    assert opened.model == b"graph"
    assert opened.evaluation == {"accuracy": 0.5}
    assert list(opened.calibration) == ["msp", "max_logit", "energy"]
    assert opened.calibration["energy"].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert opened.calibration["energy"].dtype == np.float32


def test_bundle_sha256_is_the_hash_of_its_manifest(folder: Path) -> None:
    expected = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    assert open_bundle(folder).sha256 == expected


def test_bundle_calibration_is_read_only(folder: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        open_bundle(folder).calibration["msp"][0] = -1


def test_bundle_is_independent_of_its_folder_once_open(folder: Path) -> None:
    opened = open_bundle(folder)
    (folder / MODEL).write_bytes(b"something else")
    assert opened.model == b"not a graph, but bytes nevertheless"


@pytest.mark.parametrize("name", FILES)
def test_open_bundle_names_a_missing_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    message = error_of(folder)
    assert f"{name} is missing" in message
    assert "download or export the bundle again" in message


def test_open_bundle_names_several_missing_files(folder: Path) -> None:
    for name in FILES[:2]:
        (folder / name).unlink()
    names = ", ".join(sorted(FILES[:2]))
    assert f"{names} are missing; download or export the bundle again" in error_of(folder)


def test_open_bundle_names_the_folder_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_bytes(b"")
    assert f"oodguard-train export {tmp_path} --out BUNDLE" in error_of(tmp_path)


def test_open_bundle_names_an_unexpected_file(folder: Path) -> None:
    (folder / "weights.pkl").write_bytes(b"")
    assert "weights.pkl does not belong to a bundle; remove it" in error_of(folder)


@pytest.mark.parametrize("name", PINNED)
def test_open_bundle_names_a_truncated_file_with_both_sizes(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-1])
    message = error_of(folder)
    assert f"{name} was truncated: it has {len(content) - 1} bytes" in message
    assert f"expected {len(content)} by the manifest" in message
    assert "download or export the bundle again" in message


def test_open_bundle_names_a_lengthened_file_with_both_sizes(folder: Path) -> None:
    with (folder / MODEL).open("ab") as file:
        file.write(b"more")
    assert "model.onnx was altered: it has 39 bytes, expected 35" in error_of(folder)


@pytest.mark.parametrize("name", PINNED)
def test_open_bundle_names_an_altered_file_with_both_hashes(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    recorded = hashlib.sha256(content).hexdigest()
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    assert error_of(folder) == (
        f"{name} was altered: its sha256 is {hashlib.sha256(content).hexdigest()}, expected"
        f" {recorded} by the manifest; download or export the bundle again"
    )


def truncate_manifest(folder: Path) -> None:
    content = (folder / MANIFEST).read_bytes()
    (folder / MANIFEST).write_bytes(content[: len(content) // 2])


def forget_model(folder: Path) -> None:
    files = json.loads((folder / MANIFEST).read_bytes())["files"]
    del files[MODEL]
    rewrite_manifest(folder, files=files)


def link_model(folder: Path) -> None:
    (folder / MODEL).rename(folder.parent / "elsewhere")
    (folder / MODEL).symlink_to(folder.parent / "elsewhere")


def make_card_a_folder(folder: Path) -> None:
    (folder / CARD).unlink()
    (folder / CARD).mkdir()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate_manifest, "manifest.json is not JSON"),
        (forget_model, "manifest.json records the files"),
        (link_model, "model.onnx is a link"),
        (make_card_a_folder, "README.md is a link or not a regular file"),
        (
            lambda folder: rewrite_manifest(folder, scores=["msp", "max_logit", "energy", "knn"]),
            "expected a float32 tensor 'scores' of shape (n, 4)",
        ),
        (
            lambda folder: replace_and_record(folder, EVALUATION, b"[]"),
            "evaluation.json holds a list, expected an object",
        ),
        (shutil.rmtree, "is not a folder, expected a bundle folder"),
    ],
)
def test_open_bundle_rejects_a_damaged_folder(
    folder: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(folder)
    assert message in error_of(folder)


def test_open_bundle_rejects_a_file_over_the_limit(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle_module, "MAX_BYTES", {**bundle_module.MAX_BYTES, MODEL: 34})
    assert "model.onnx has more than 34 bytes" in error_of(folder)


def test_open_bundle_needs_no_memory_for_the_largest_network(folder: Path) -> None:
    """Its limit is 2 GiB, and `read(n)` allocates n bytes: small machines have fewer."""
    tracemalloc.start()
    try:
        open_bundle(folder)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * 2**20


@pytest.mark.parametrize(
    ("method", "message"),
    [("open", "manifest.json cannot be read"), ("iterdir", "tiny cannot be listed")],
)
def test_open_bundle_reports_missing_permissions(
    folder: Path, monkeypatch: pytest.MonkeyPatch, method: str, message: str
) -> None:
    def deny(*_arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, method, deny)
    assert f"{message}: Permission denied" in error_of(folder)


def test_evaluation_is_the_same_after_encoding_and_decoding() -> None:
    figures = {"accuracy": 0.1 + 0.2, "sets": {"textures": [1, None, "a"]}}
    assert decode_evaluation(encode_evaluation(figures)) == figures


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": NaN}', b'{"a": -Infinity}', b"\xff"])
def test_evaluation_rejects_invalid_json(content: bytes) -> None:
    with pytest.raises(BundleError, match=r"evaluation\.json is not JSON"):
        decode_evaluation(content)
