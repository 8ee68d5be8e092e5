"""Images of a source to the rows of a calibration."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from oodguard.models.errors import CalibrationError
from oodguard.service.recalibration import held_out
from oodguard.service.recalibration.held_out import hold_out, names_at
from oodguard.sources.reader import list_source, source_at
from tests.conftest import describe

DESCRIPTION = describe(scores=("energy", "msp"), classes=("red", "dark"), height=8, width=8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(5):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"{number}.png")
    return tmp_path


def run(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    red = images[:, 0, 0, 0].astype(np.float32)
    return np.stack([red, 2 - red], axis=1), np.stack([red, -red], axis=1)


def test_held_out_images_are_scored_in_batches_and_keep_their_names(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_out, "BATCH_PIXELS", 2 * 8 * 8)
    sizes: list[int] = []

    def counted(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        sizes.append(len(images))
        return run(images)

    listing = list_source(source_at(folder), labelled=False)
    found = hold_out(listing, DESCRIPTION, counted, score="energy", number_of=None)
    assert sizes == [2, 2, 1]
    names = [int(Path(name).stem) for name in names_at(listing, found.positions[::-1])][::-1]
    assert found.rows.scores["energy"].tolist() == names
    assert found.rows.predicted is not None
    assert found.rows.predicted.tolist() == [0 if red >= 1 else 1 for red in names]


def test_held_out_images_have_the_sizes_in_the_headers_of_their_files(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter, which the header does not know
    for number in range(5):
        picture = Image.new("RGB", (40, 10), (50 * number, 0, 0))
        picture.save(folder / f"{number}.png", exif=exif)
    listing = list_source(source_at(folder), labelled=False)
    found = hold_out(listing, DESCRIPTION, run, score="energy", number_of=None)
    assert found.rows.qualities["aspect"].tolist() == [4] * 5
    assert found.rows.qualities["size"].tolist() == [20] * 5


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused_with_the_image(folder: Path, value: float) -> None:
    def broken(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        logits, scores = run(images)
        scores[images[:, 0, 0, 0] == 3, 1] = value
        return logits, scores

    listing = list_source(source_at(folder), labelled=False)
    with pytest.raises(CalibrationError) as error:
        hold_out(listing, DESCRIPTION, broken, score="energy", number_of=None)
    assert f"the score msp of 1 of 5 images is not a finite number, such as {value} of" in str(
        error.value
    )
    assert "3.png" in str(error.value)


def test_images_are_not_all_in_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive = 0

    def decoded(
        _listing: object, _spec: object, sizes: dict[int, tuple[int, int]]
    ) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        for number in range(1000):
            sizes[number] = (8, 8)
            yield number, np.full((8, 8, 3), number % 256, np.uint8) + np.uint8(number // 256)

    def counted(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        nonlocal alive
        alive = max(alive, len(images))
        return run(images)

    monkeypatch.setattr(held_out, "BATCH_PIXELS", 10 * 8 * 8)
    monkeypatch.setattr(held_out, "decode_all", decoded)
    listing = list_source(source_at(folder), labelled=False)
    found = hold_out(listing, DESCRIPTION, counted, score="energy", number_of=None)
    assert alive == 10
    assert len(found.rows) + found.copies == 1000
