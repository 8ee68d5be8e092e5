"""Data sets of the hub, with a local data set in place of a download."""

from io import BytesIO

import datasets
import numpy as np
import pytest
from PIL import Image

from oodguard.models.errors import RecipeError
from oodguard.sources.source import Source
from tests.sources.picture_files import contents, encoded


@pytest.fixture
def requested(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Return the data sets and splits that were requested."""
    calls: list[tuple[str, str]] = []
    table = datasets.Dataset.from_dict(
        {
            "img": [Image.open(BytesIO(encoded(number))) for number in range(6)],
            "fine_label": [0, 1, 2, 2, 1, 0],
            "film": [1, 1, 1, 2, 2, 2],
            "camera": [1, None, 1, 2, 2, 2],
        },
        features=datasets.Features(
            img=datasets.Image(),
            fine_label=datasets.ClassLabel(names=["emu", "cat", "dog"]),
            film=datasets.Value("int64"),
            camera=datasets.Value("int64"),
        ),
    )

    def load_dataset(name: str, *, split: str) -> datasets.Dataset:
        calls.append((name, split))
        if name == "no/where":
            raise datasets.exceptions.DatasetNotFoundError("there is no such data set")
        return table

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return calls


def test_hub_data_set_is_read_in_its_fixed_order(requested: list[tuple[str, str]]) -> None:
    names = ["emu", "cat", "dog", "dog", "cat", "emu"]
    found = contents(Source(hub="a/b"))
    assert found == dict(enumerate(names))
    assert list(found) == np.random.default_rng(0).permutation(6).tolist()
    assert contents(Source(hub="a/b", split="test", only=("cat",))) == {1: "cat", 4: "cat"}
    assert requested == [("a/b", "train"), ("a/b", "test")]


@pytest.mark.usefixtures("requested")
def test_missing_hub_data_set_or_column_is_an_error() -> None:
    with pytest.raises(RecipeError, match="no/where: cannot read the data: there is no such data"):
        contents(Source(hub="no/where"))
    with pytest.raises(RecipeError, match="a/b: group is 'reel', expected one of the columns"):
        contents(Source(hub="a/b", group="reel"))
    with pytest.raises(
        RecipeError, match="a/b: images without a group: 1 of 6, expected a group for each"
    ):
        contents(Source(hub="a/b", group="camera"))
