import hashlib
import json
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
    Bundle,
    open_bundle,
    write_bundle,
)
from oodguard.models.errors import BundleError

FILES = (MODEL, CALIBRATION, EVALUATION, CARD, MANIFEST)
PINNED = (MODEL, CALIBRATION, EVALUATION, CARD)
MakeBundle = Callable[..., Bundle]


@pytest.fixture
def folder(make_bundle: MakeBundle, tmp_path: Path) -> Path:
    make_bundle(tmp_path / "tiny")
    return tmp_path / "tiny"


def refusal(folder: Path) -> str:
    with pytest.raises(BundleError) as error:
        open_bundle(folder)
    return str(error.value)


def rewrite_manifest(folder: Path, **changes: object) -> None:
    manifest = json.loads((folder / MANIFEST).read_bytes())
    (folder / MANIFEST).write_text(json.dumps(manifest | changes))


def replace_and_record(folder: Path, name: str, content: bytes) -> None:
    """Put other bytes in a file's place and have the manifest agree with them."""
    (folder / name).write_bytes(content)
    files = json.loads((folder / MANIFEST).read_bytes())["files"]
    files[name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    rewrite_manifest(folder, files=files)


def test_what_was_written_is_what_is_opened(make_bundle: MakeBundle, tmp_path: Path) -> None:
    written = make_bundle(tmp_path / "tiny", n_calibration=4, model=b"graph")
    opened = open_bundle(tmp_path / "tiny")
    assert opened.manifest == written.manifest
    assert opened.sha256 == written.sha256
    assert opened.model == b"graph"
    assert opened.evaluation == {"accuracy": 0.5}
    assert list(opened.calibration) == ["msp", "max_logit", "energy"]
    assert opened.calibration["energy"].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert opened.calibration["energy"].dtype == np.float32


def test_a_bundle_is_exactly_five_files(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == set(FILES)


def test_the_identity_of_a_bundle_is_the_hash_of_its_manifest(folder: Path) -> None:
    expected = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    assert open_bundle(folder).sha256 == expected


def test_calibration_scores_cannot_be_changed(folder: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        open_bundle(folder).calibration["msp"][0] = -1


def test_an_opened_bundle_needs_its_folder_no_more(folder: Path) -> None:
    opened = open_bundle(folder)
    (folder / MODEL).write_bytes(b"something else")
    assert opened.model == b"not a graph, but bytes all the same"


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    message = refusal(folder)
    assert f"{name} is missing" in message
    assert "fetch the bundle again or export it anew" in message


def test_an_extra_file_is_named(folder: Path) -> None:
    (folder / "weights.pkl").write_bytes(b"")
    assert "weights.pkl does not belong to a bundle; remove it" in refusal(folder)


@pytest.mark.parametrize("name", PINNED)
def test_a_truncated_file_is_named_with_both_sizes(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-1])
    message = refusal(folder)
    assert f"{name} was truncated: it has {len(content) - 1} bytes" in message
    assert f"the manifest says {len(content)}" in message
    assert "fetch the bundle again or export it anew" in message


@pytest.mark.parametrize("name", PINNED)
def test_one_flipped_bit_is_named_with_both_hashes(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    recorded = hashlib.sha256(content).hexdigest()
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    assert refusal(folder) == (
        f"{name} was altered: sha256 is {hashlib.sha256(content).hexdigest()}, the manifest says"
        f" {recorded}; fetch the bundle again or export it anew"
    )


def test_a_lengthened_file_is_refused(folder: Path) -> None:
    with (folder / MODEL).open("ab") as file:
        file.write(b"more")
    assert "model.onnx was altered: it has 39 bytes, the manifest says 35" in refusal(folder)


def test_a_truncated_manifest_is_refused(folder: Path) -> None:
    content = (folder / MANIFEST).read_bytes()
    (folder / MANIFEST).write_bytes(content[: len(content) // 2])
    assert "manifest.json is not JSON" in refusal(folder)


def test_an_unknown_schema_version_is_refused(folder: Path) -> None:
    rewrite_manifest(folder, schema_version=2)
    assert "schema_version is 2; this release reads 1" in refusal(folder)


def test_a_manifest_that_leaves_a_file_unpinned_is_refused(folder: Path) -> None:
    files = json.loads((folder / MANIFEST).read_bytes())["files"]
    del files[MODEL]
    rewrite_manifest(folder, files=files)
    assert "manifest.json records" in refusal(folder)


def test_a_link_is_refused_even_to_the_right_bytes(folder: Path, tmp_path: Path) -> None:
    (folder / MODEL).rename(tmp_path / "elsewhere")
    (folder / MODEL).symlink_to(tmp_path / "elsewhere")
    assert "model.onnx is a link" in refusal(folder)


def test_a_folder_in_a_files_place_is_refused(folder: Path) -> None:
    (folder / CARD).unlink()
    (folder / CARD).mkdir()
    assert "README.md is a link or no regular file" in refusal(folder)


def test_a_file_over_the_limit_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_module, "MAX_BYTES", {**bundle_module.MAX_BYTES, MODEL: 34})
    assert "model.onnx has more than 34 bytes" in refusal(folder)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "is not a folder; a bundle folder is wanted" in refusal(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("method", "message"),
    [("open", "manifest.json cannot be read"), ("iterdir", "tiny cannot be listed")],
)
def test_a_bundle_that_may_not_be_read_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, method: str, message: str
) -> None:
    def deny(*_arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, method, deny)
    assert f"{message}: Permission denied" in refusal(folder)


def test_calibration_that_lacks_a_score_of_the_manifest_is_refused(folder: Path) -> None:
    scores = ["msp", "max_logit", "energy", "knn"]
    rewrite_manifest(folder, scores=scores)
    assert "wanted one float32 tensor 'scores' of shape (n, 4)" in refusal(folder)


def test_an_evaluation_that_is_no_object_is_refused(folder: Path) -> None:
    replace_and_record(folder, EVALUATION, b"[]")
    assert "evaluation.json holds a list; wanted an object" in refusal(folder)


def test_a_new_bundle_replaces_the_old_one(make_bundle: MakeBundle, folder: Path) -> None:
    make_bundle(folder, model=b"new")
    assert open_bundle(folder).model == b"new"
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]


def test_a_damaged_bundle_can_be_replaced(make_bundle: MakeBundle, folder: Path) -> None:
    (folder / MODEL).unlink()
    make_bundle(folder, model=b"new")
    assert open_bundle(folder).model == b"new"


def test_an_empty_folder_can_be_replaced(make_bundle: MakeBundle, tmp_path: Path) -> None:
    make_bundle(tmp_path / "deep" / "tiny")
    (tmp_path / "empty").mkdir()
    assert make_bundle(tmp_path / "empty").manifest.name == "tiny"


@pytest.mark.parametrize(
    "present", [["thesis.tex"], ["manifest.json", "thesis.tex"], ["README.md"]]
)
def test_a_folder_that_is_no_bundle_is_left_alone(
    make_bundle: MakeBundle, tmp_path: Path, present: list[str]
) -> None:
    (tmp_path / "work").mkdir()
    for name in present:
        (tmp_path / "work" / name).write_text("mine")
    with pytest.raises(BundleError, match="is not a bundle; it is left alone"):
        make_bundle(tmp_path / "work")
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == sorted(present)


def test_a_file_in_the_folders_place_is_left_alone(make_bundle: MakeBundle, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(BundleError, match="is not a bundle; it is left alone"):
        make_bundle(tmp_path / "notes")
    assert (tmp_path / "notes").read_text() == "mine"


def write_again(folder: Path, **changes: object) -> None:
    """Write over `folder` what it holds, but for the changes."""
    old = open_bundle(folder)
    given: dict[str, object] = {
        "description": old.manifest,
        "model": b"new",
        "calibration": old.calibration,
        "evaluation": old.evaluation,
        "card": "# new\n",
    }
    write_bundle(folder, **(given | changes))  # type: ignore[arg-type]


FULL = np.arange(5, dtype=np.float32)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"evaluation": {"auroc": float("nan")}}, "cannot be written as JSON"),
        ({"evaluation": {"when": object()}}, "cannot be written as JSON"),
        ({"calibration": {"msp": FULL}}, r"calibration has scores \['msp'\]"),
        (
            {"calibration": {"msp": FULL, "max_logit": FULL, "energy": FULL[:4]}},
            r"columns have shapes \[\(4,\), \(5,\)\]",
        ),
        (
            {"calibration": dict.fromkeys(("msp", "max_logit", "energy"), FULL[:0])},
            "wanted one float32 tensor",
        ),
        (
            {"calibration": dict.fromkeys(("msp", "max_logit", "energy"), FULL * np.nan)},
            "not finite",
        ),
    ],
)
def test_what_makes_no_bundle_is_refused_and_the_old_one_stays(
    folder: Path, changes: dict[str, object], complaint: str
) -> None:
    before = open_bundle(folder).sha256
    with pytest.raises(BundleError, match=complaint):
        write_again(folder, **changes)
    assert open_bundle(folder).sha256 == before
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]


def test_a_description_may_be_the_manifest_of_another_bundle(folder: Path) -> None:
    write_again(folder)
    assert open_bundle(folder).model == b"new"
