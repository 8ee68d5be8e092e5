"""A peer's answer is the graph's, worked out by hand for the tests' graph of channel means."""

import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.serving.graph import BUNDLE, THREADS, Graph
from benchmarks.serving.light import SIDE, write_light_bundle
from benchmarks.serving.pictures import encode, pictures
from benchmarks.serving.versions import write_version
from oodguard.models.bundle import open_bundle
from tests.service.pictures import BLUE, RED, plain
from tests.service.pictures import encode as encode_image


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "light"
    write_light_bundle(folder)
    return folder


def test_a_batch_is_decoded_run_and_answered_in_its_order(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BUNDLE, str(bundle))
    monkeypatch.setenv(THREADS, "1")
    files = [encode_image(plain(colour, (SIDE, SIDE))) for colour in (RED, BLUE)]
    red, blue = Graph.of_environment().answers(files)
    assert [red["label"], blue["label"]] == ["red", "blue"]
    assert [red["class_id"], blue["class_id"]] == [0, 2]
    # Logits are 255 / 25, 0 and 0; the brightness is a third of 255.
    assert red["confidence"] == pytest.approx(1 / (1 + 2 * math.exp(-10.2)), abs=1e-6)
    assert red["scores"] == pytest.approx({"brightness": 85, "darkness": -85})


def test_a_picture_of_another_size_is_brought_to_the_models(bundle: Path) -> None:
    graph = Graph(bundle, threads=1)
    assert graph.decode(encode_image(plain(RED, (7, 90)))).shape == (SIDE, SIDE, 3)


def test_pictures_are_real_and_differ_until_they_begin_again() -> None:
    few = pictures(64, (SIDE, SIDE))
    assert few.shape == (64, SIDE, SIDE, 3)
    assert len(np.unique(few.reshape(64, -1), axis=0)) == 64


def test_a_png_keeps_the_pictures_pixels(bundle: Path) -> None:
    picture = pictures(1, (SIDE, SIDE))[0]
    assert np.array_equal(Graph(bundle, threads=1).decode(encode(picture, "PNG")), picture)


def test_another_version_differs_in_its_name_alone(bundle: Path, tmp_path: Path) -> None:
    write_version(bundle, tmp_path / "next", "2")
    old, new = open_bundle(bundle), open_bundle(tmp_path / "next")
    differ = {"version", "files"}
    assert new.manifest.version == "2"
    assert new.manifest.model_dump(exclude=differ) == old.manifest.model_dump(exclude=differ)
    assert new.model == old.model
    assert {name: scores.tolist() for name, scores in new.calibration.items()} == {
        name: scores.tolist() for name, scores in old.calibration.items()
    }
    assert new.sha256 != old.sha256
