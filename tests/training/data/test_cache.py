"""Prepared images in a file are those in memory, also after an interruption."""

import fcntl
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from oodguard.models.errors import RecipeError
from oodguard.models.manifest import InputSpec
from oodguard.sources.reader import list_source
from oodguard.sources.source import Source
from oodguard.training.data import cache
from oodguard.training.data.dataset import ImageSet, load
from oodguard.training.data.images import MappedImages, read_ahead
from oodguard.training.data.training_data import read_training_data
from oodguard.training.fit.trainer import Trainer
from tests.sources.picture_files import SPEC, encoded, write
from tests.training.recipes import RECIPE, parsed


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use an own cache, and commit after every second image."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "COMMITTED", 2)
    return tmp_path / "cache" / "ood-guard" / "images"


@pytest.fixture
def pictures(tmp_path: Path) -> Source:
    for number in range(9):
        write(tmp_path / "data" / str(number % 3) / f"{number}.png", number)
    return Source(folder=tmp_path / "data")


def _both(source: Source, monkeypatch: pytest.MonkeyPatch) -> tuple[ImageSet, ImageSet]:
    """Load a source into memory and from its file."""
    memory = load(source, SPEC, labelled=True)
    monkeypatch.setattr(cache, "LARGE", 0)
    mapped = load(source, SPEC, labelled=True)
    assert isinstance(memory.images, torch.Tensor)
    assert isinstance(mapped.images, MappedImages)
    return memory, mapped


def test_mapped_images_equal_those_in_memory(
    pictures: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, mapped = _both(pictures, monkeypatch)
    assert torch.equal(memory.labels, mapped.labels)
    assert memory.images.shape == mapped.images.shape == (9, 8, 8, 3)
    index = torch.tensor([7, 0, 3, 3])
    for one, two in ((memory, mapped), (memory.subset(index), mapped.subset(index))):
        assert torch.equal(one.images[:], two.images[:])
        assert torch.equal(one.images[index[1:] % 4], two.images[index[1:] % 4])
        assert torch.equal(one.images[-2:], two.images[-2:])
        assert np.array_equal(one.images.numpy(), two.images.numpy())
        parts = zip(one.images.split(4), two.images.split(4), strict=True)
        assert all(torch.equal(*part) for part in parts)


def test_images_are_read_ahead_in_order(pictures: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, mapped = _both(pictures, monkeypatch)
    batches = torch.randperm(9).repeat(5).split(4)
    for images in (memory.images, mapped.images):
        found = list(read_ahead(images, batches))
        assert len(found) == len(batches)
        for rows, batch in zip(batches, found, strict=True):
            assert torch.equal(batch, memory.images[rows])


def test_training_from_a_file_equals_training_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = parsed(RECIPE)

    def weights() -> dict[str, torch.Tensor]:
        trainer = Trainer(recipe, read_training_data(recipe, lambda _: None))
        for _ in trainer.train_epoch(0):
            pass
        return trainer.state()

    expected = weights()
    monkeypatch.setattr(cache, "LARGE", 0)
    found = weights()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_interrupted_preparation_continues(
    pictures: Source, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = list_source(pictures, labelled=True)

    def stop(count: int) -> None:
        if count:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.cached_images(listing, SPEC, advance=stop)
    assert [path.name for path in folder.glob("*/images*")] == ["images.partial"]
    read: list[str] = []

    def pictures_of(rows: np.ndarray) -> Iterator[tuple[str, object]]:
        for each in listing.read(rows):
            read.append(each[0])
            yield each

    counted = replace(listing, read=pictures_of)  # type: ignore[arg-type]
    monkeypatch.setattr(cache, "_key", lambda *_: next(folder.iterdir()).name)
    images, kept, _ = cache.cached_images(counted, SPEC)
    assert len(read) == 7
    assert kept.tolist() == list(range(9))
    assert torch.equal(images[:], load(pictures, SPEC).images[:])
    assert [path.name for path in folder.glob("*/images*")] == ["images"]


def test_changed_image_or_rule_is_prepared_again(
    pictures: Source, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "LARGE", 0)
    load(pictures, SPEC)
    load(pictures, SPEC)
    assert len(list(folder.iterdir())) == 1
    assert load(pictures, InputSpec(height=4, width=8)).images.shape == (9, 4, 8, 3)
    assert pictures.folder is not None
    changed = pictures.folder / "0" / "0.png"
    changed.write_bytes(encoded(200))
    os.utime(changed, ns=(0, 0))
    assert 200 in load(pictures, SPEC).images[:][:, 0, 0, 0]
    assert len(list(folder.iterdir())) == 3


def test_broken_images_are_named_or_left_out_of_the_file(
    pictures: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pictures.folder is not None
    (pictures.folder / "1" / "4.png").write_bytes(b"text")
    monkeypatch.setattr(cache, "LARGE", 0)
    skipping = pictures.model_copy(update={"skip_broken": True})
    for source in (pictures, skipping, skipping, pictures):
        if not source.skip_broken:
            with pytest.raises(RecipeError, match=r"cannot read 1 of .*\n.*/1/4\.png: the file is"):
                load(source, SPEC)
            continue
        images = load(source, SPEC)
        numbers = images.images[:][:, 0, 0, 0]
        assert sorted(numbers.tolist()) == [0, 1, 2, 3, 5, 6, 7, 8]
        assert torch.equal(numbers % 3, images.labels)


def test_full_disk_is_an_error_that_names_the_remedy(
    pictures: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "LARGE", 0)
    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(RecipeError, match="Free disk space, or set XDG_CACHE_HOME"):
        load(pictures, SPEC)


@pytest.mark.parametrize(
    "damage", ["short", "empty", "long", "no states", "short states", "partial and short states"]
)
def test_damaged_cache_is_prepared_again(
    pictures: Source, folder: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    memory, _ = _both(pictures, monkeypatch)
    (images,) = folder.glob("*/images")
    states = images.parent / "states"
    size = images.stat().st_size
    if damage in {"short", "empty", "long"}:
        os.truncate(images, {"short": size - 1, "empty": 0, "long": size + 1}[damage])
    elif damage == "no states":
        states.unlink()
    else:
        os.truncate(states, 3)
        images.write_bytes(bytes(size))
        if damage.startswith("partial"):
            images.rename(images.parent / "images.partial")
    assert torch.equal(load(pictures, SPEC, labelled=True).images[:], memory.images[:])


@pytest.mark.parametrize("skip_broken", [False, True])
def test_image_that_can_be_read_again_is_not_left_out(
    pictures: Source, monkeypatch: pytest.MonkeyPatch, *, skip_broken: bool
) -> None:
    monkeypatch.setattr(cache, "LARGE", 0)
    monkeypatch.setattr(cache, "_key", lambda *_: "key")  # a failure of a disk changes no file
    assert pictures.folder is not None
    broken = pictures.folder / "1" / "4.png"
    content = broken.read_bytes()
    broken.write_bytes(b"text")
    skipping = pictures.model_copy(update={"skip_broken": True})
    assert len(load(skipping, SPEC)) == 8
    broken.write_bytes(content)
    images = load(pictures.model_copy(update={"skip_broken": skip_broken}), SPEC).images[:]
    assert sorted(images[:, 0, 0, 0].tolist()) == list(range(9))


@pytest.mark.parametrize("kind", ["first row without a path", "struct", "shards"])
def test_changed_picture_of_a_table_is_prepared_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(cache, "LARGE", 0)
    changed = write(tmp_path / "1.png", 1)
    data = tmp_path / "tables"
    data.mkdir()
    first: object = {"bytes": encoded(0), "path": None}
    second: object = {"bytes": None, "path": "../1.png"}
    kinds: dict[str, list[list[object]]] = {
        "first row without a path": [[None, "../1.png"]],
        "struct": [[first, second]],
        "shards": [[encoded(0)], ["../1.png"]],
    }
    for number, images in enumerate(kinds[kind]):
        pq.write_table(pa.table({"image": images}), data / f"{number}.parquet")
    source = Source(table=data, skip_broken=True)
    assert 1 in load(source, SPEC).images[:][:, 0, 0, 0]
    changed.write_bytes(encoded(200))
    os.utime(changed, ns=(0, 0))
    assert 200 in load(source, SPEC).images[:][:, 0, 0, 0]


def test_cache_has_a_file_for_each_column_of_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "LARGE", 0)
    table = tmp_path / "pairs.parquet"
    pq.write_table(pa.table({"before": [encoded(10)], "after": [encoded(200)]}), table)
    for column, number in (("before", 10), ("after", 200)):
        images = load(Source(table=table, image_column=column), SPEC).images
        assert images[:][:, 0, 0, 0].tolist() == [number]


def test_cache_names_the_lock_that_it_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed: list[str] = []
    with (tmp_path / "lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)

        def end_other(text: str) -> None:
            printed.append(text)
            fcntl.flock(other, fcntl.LOCK_UN)

        monkeypatch.setattr(cache, "print_notice", end_other)
        with cache._locked(tmp_path / "lock"):
            pass
    assert printed == [f"waiting for another process that prepares these images: {tmp_path}"]
