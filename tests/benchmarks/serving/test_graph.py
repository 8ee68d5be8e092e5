"""Predictions of the bare graph, derived by hand for the tests' graph of channel means."""

import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.serving.bundles import SIDE, write_light_bundle, write_version
from benchmarks.serving.graph import BUNDLE, THREADS, Graph
from benchmarks.serving.requests import encode, read_images
from oodguard.models.bundle import open_bundle
from tests.service.pictures import BLUE, RED, plain
from tests.service.pictures import encode as encode_image


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "light"
    write_light_bundle(folder)
    return folder


def test_bare_graph_predicts_a_batch_in_its_order(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BUNDLE, str(bundle))
    monkeypatch.setenv(THREADS, "1")
    files = [encode_image(plain(colour, (SIDE, SIDE))) for colour in (RED, BLUE)]
    red, blue = Graph.of_environment().predict(files)
    assert [red["label"], blue["label"]] == ["red", "blue"]
    assert [red["class_id"], blue["class_id"]] == [0, 2]
    # The logits are 255 / 25, 0 and 0; the brightness is a third of 255.
    assert red["confidence"] == pytest.approx(1 / (1 + 2 * math.exp(-10.2)), abs=1e-6)
    assert red["scores"] == pytest.approx({"brightness": 85, "darkness": -85})


def test_bare_graph_decodes_to_the_models_size_and_keeps_pixels_of_that_size(bundle: Path) -> None:
    graph = Graph(bundle, threads=1)
    assert graph.decode(encode_image(plain(RED, (7, 90)))).shape == (SIDE, SIDE, 3)
    images = read_images(64, (SIDE, SIDE))
    assert len(np.unique(images.reshape(64, -1), axis=0)) == 64
    assert np.array_equal(graph.decode(encode(images[0], "PNG")), images[0])


def test_written_version_differs_in_its_version_only(bundle: Path, tmp_path: Path) -> None:
    write_version(bundle, tmp_path / "next", "2")
    old, new = open_bundle(bundle), open_bundle(tmp_path / "next")
    differ = {"version", "files"}
    assert new.manifest.version == "2"
    assert new.manifest.model_dump(exclude=differ) == old.manifest.model_dump(exclude=differ)
    assert new.model == old.model
    assert new.calibration.keys() == old.calibration.keys()
    for name, scores in new.calibration.items():
        assert np.array_equal(scores, old.calibration[name])
    assert new.sha256 != old.sha256
