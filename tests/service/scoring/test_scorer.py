import io
import pickle
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from PIL import Image

import oodguard
from oodguard.models.decision import Policy
from oodguard.models.errors import BundleError
from oodguard.service.scoring.scorer import Scorer
from tests.service.tiny import write_tiny

# Calibration scores are 1 to 250, and the score is the brightness: 255 is rejected, 8 is not.
RED, WHITE = (24, 0, 0), (255, 255, 255)


def png(colour: tuple[int, int, int], side: int = 8) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(stream, "PNG")
    return stream.getvalue()


PICTURES = [png(RED), b"text", png(WHITE)]


@pytest.fixture
def scorer(bundle_folder: Path) -> Scorer:
    return Scorer(bundle_folder)


def check(columns: dict[str, NDArray[Any]]) -> None:
    """Check the verdicts on a red picture, text, and a white picture."""
    assert list(columns) == [
        *("label", "class_id", "confidence", "score_brightness", "score_darkness"),
        *("p_value", "decision", "reasons", "error"),
    ]
    assert columns["label"].tolist() == ["red", "", "red"]
    assert columns["class_id"].tolist() == [0, -1, 0]
    assert columns["decision"].tolist() == ["accept", "", "reject"]
    np.testing.assert_allclose(columns["score_brightness"], [8, np.nan, 255])
    # p = (1 + #{calibration >= score}) / 251: 243 are at least 8, none is at least 255.
    np.testing.assert_allclose(columns["p_value"], [244 / 251, np.nan, 1 / 251])
    assert np.isnan(columns["confidence"]).tolist() == [False, True, False]
    assert columns["reasons"].tolist() == ["", "", "unlike_classes"]
    assert columns["error"].tolist()[::2] == ["", ""]


def test_scorer_returns_an_error_in_the_row_of_a_picture_that_cannot_be_decoded(
    scorer: Scorer,
) -> None:
    columns = scorer({"bytes": PICTURES})
    check(columns)
    assert columns["error"][1] == "the 4 bytes are not an image, expected a JPEG, PNG or WebP"


@pytest.mark.parametrize(
    "picture",
    [None, 3, b"", {"bytes": None, "path": None}, "missing.png", np.zeros((8, 8), np.uint8)],
)
def test_scorer_has_no_exception_for_any_object(scorer: Scorer, picture: object) -> None:
    columns = scorer({"image": [picture]})
    assert columns["error"][0]
    assert columns["decision"].tolist() == [""]


def test_scorer_has_no_exception_for_a_lazily_opened_picture_of_any_format(scorer: Scorer) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), RED).save(stream, "AVIF")
    # Pillow raises OSError or RuntimeError, depending on the byte that is damaged.
    damaged = np.tile(np.frombuffer(stream.getvalue(), np.uint8), (40, 1))
    damaged[np.arange(40), np.arange(-40, 0)] ^= 255
    errors = scorer({"image": [Image.open(io.BytesIO(each)) for each in damaged]})["error"]
    assert "the image is damaged, truncated or closed" in errors


@pytest.mark.parametrize("row", [png(RED), "red.png", {"bytes": png(RED)}, None])
def test_scorer_refuses_a_row_in_place_of_a_batch(scorer: Scorer, row: object) -> None:
    with pytest.raises(TypeError, match=r"the column image is a \w+, expected a sequence of pict"):
        scorer({"image": row})


def test_scorer_bounds_the_pixels_of_every_kind_of_picture(
    bundle_folder: Path, tmp_path: Path
) -> None:
    image = Image.new("RGB", (30, 40))
    image.save(tmp_path / "image.png")
    array = np.zeros((40, 30, 3), np.uint8)
    with Image.open(tmp_path / "image.png") as lazy:
        pictures = [tmp_path / "image.png", lazy, image, array]
        allowed = Scorer(bundle_folder, max_pixels=1200)({"image": pictures})
        refused = Scorer(bundle_folder, max_pixels=1199)({"image": pictures})
    assert [*allowed["error"]] == [""] * 4
    assert {*refused["error"]} == {"the image has 30 x 40 = 1200 pixels, expected at most 1199"}


def test_scorer_keeps_lists_of_different_lengths(bundle_folder: Path) -> None:
    columns = Scorer(bundle_folder, keep="boxes")({"image": PICTURES, "boxes": [[1], [2, 3], []]})
    assert columns["boxes"].tolist() == [[1], [2, 3], []]


def test_scorer_takes_every_kind_of_picture(scorer: Scorer, tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    path.write_bytes(png(RED))
    pixels = np.array([[RED] * 9] * 9, np.uint8)
    pictures = [
        *(png(RED), memoryview(png(RED)), path, str(path), Image.new("RGB", (20, 9), RED)),
        *(pixels, pixels[:8, :8], {"bytes": png(RED)}, {"bytes": None, "path": str(path)}),
    ]
    columns = scorer({"image": pictures})
    assert columns["error"].tolist() == [""] * 9
    np.testing.assert_allclose(columns["score_brightness"], 8)
    stacked = scorer({"image": np.stack([pixels, pixels])})
    assert stacked["label"].tolist() == ["red", "red"]


@pytest.mark.slow  # imports torch
def test_scorer_reads_tensors_of_torch(scorer: Scorer) -> None:
    pixels = np.array([[RED] * 9] * 7, np.uint8)
    data = datasets.Dataset.from_dict(
        {"image": [Image.fromarray(pixels)] * 2},
        features=datasets.Features({"image": datasets.Image()}),
    )
    rows = data.with_format("torch")[:]
    assert rows["image"].shape == (2, 3, 7, 9)
    np.testing.assert_allclose(scorer(rows)["score_brightness"], 8)
    wrong = scorer({"image": list(rows["image"].float())})["error"].tolist()
    assert wrong == ["the array is float32 (7, 9, 3), expected uint8 (H, W, 3) in RGB"] * 2


def test_scorer_reads_batches_of_arrow(scorer: Scorer) -> None:
    table = pa.table({"bytes": PICTURES, "name": ["a", "b", "c"]})
    check(scorer(table))
    check(scorer(table.to_batches()[0]))
    check(scorer({"image": table.column("bytes")}))


@pytest.mark.parametrize("batch", [PICTURES, png(RED), None])
def test_scorer_refuses_a_batch_without_columns(scorer: Scorer, batch: Any) -> None:
    with pytest.raises(TypeError, match=r"the batch is a \w+, expected columns by name, such as"):
        scorer(batch)


@pytest.mark.parametrize("name", ["label", "score_darkness", "error"])
def test_scorer_refuses_to_keep_a_column_of_the_verdicts(bundle_folder: Path, name: str) -> None:
    with pytest.raises(ValueError, match=f"keep has '{name}', the name of a column of the verd"):
        Scorer(bundle_folder, keep=["id", name])


def test_scorer_policy_without_a_score_has_the_default_of_the_bundle(bundle_folder: Path) -> None:
    scorer = Scorer(bundle_folder, Policy(alpha=0.1))
    assert scorer.policy == Policy(score="brightness", alpha=0.1)


def test_scorer_returns_no_rows_for_an_empty_batch(scorer: Scorer) -> None:
    assert {len(values) for values in scorer({"image": []}).values()} == {0}


def test_scorer_chooses_the_column_of_pictures_and_keeps_others(bundle_folder: Path) -> None:
    kept = Scorer(bundle_folder, keep=["path"])
    columns = kept({"path": np.array(["a.png"]), "bytes": np.array([png(RED)], object)})
    assert columns["path"].tolist() == ["a.png"]
    assert list(columns) == list(kept.columns)
    named = Scorer(bundle_folder, column="photo")
    assert named({"image": [b""], "photo": [png(RED)]})["label"].tolist() == ["red"]
    with pytest.raises(KeyError, match=r"columns \['a', 'b'\], expected one of image, bytes"):
        kept({"a": [], "b": []})
    with pytest.raises(KeyError, match=r"keep is \['path'\].* columns of the batch, \['a'\]: path"):
        kept({"a": []})
    with pytest.raises(KeyError, match=r"expected photo"):
        named({"image": []})


def test_scorer_opens_the_same_bundle_in_another_process(bundle_folder: Path) -> None:
    policy = Policy(score="darkness", alpha=0.2, delta=None)
    scorer = Scorer(bundle_folder, policy, column="photo", keep=["id"])
    sent = pickle.dumps(scorer)
    copy = pickle.loads(sent)  # noqa: S301 - our own bytes
    assert isinstance(copy, Scorer)
    assert copy.policy == policy
    assert copy.columns == scorer.columns
    assert b"brightness" not in sent  # no graph and no calibration
    write_tiny(bundle_folder, version="2")
    with pytest.raises(BundleError, match="is not the one that the Scorer was created with"):
        pickle.loads(sent)  # noqa: S301 - our own bytes


def test_scorer_maps_pandas_frames_as_spark_sends_them(scorer: Scorer) -> None:
    frames = iter([pd.DataFrame({"path": ["a", "b", "c"], "content": PICTURES})])
    (frame,) = (pd.DataFrame(scorer(each)) for each in frames)
    assert list(frame.columns) == list(scorer.columns)
    assert frame["label"].tolist()[::2] == ["red", "red"]
    assert frame["p_value"].isna().tolist() == [False, True, False]


def test_scorer_maps_a_data_set_of_datasets(scorer: Scorer) -> None:
    data = datasets.Dataset.from_dict(
        {"image": [{"bytes": each, "path": None} for each in PICTURES]}
    )
    scored = data.map(scorer, batched=True, batch_size=2, remove_columns=["image"])
    assert scored["label"][:] == ["red", "", "red"]
    assert scored["reasons"][:] == ["", "", "unlike_classes"]


def test_scorer_is_public() -> None:
    assert oodguard.Scorer is Scorer
