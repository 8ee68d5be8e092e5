"""Folders of users: everything in a folder is read, whatever the names of files and folders are."""

import os
import subprocess
from pathlib import Path

import pytest

from oodguard.models.errors import RecipeError
from oodguard.sources.listing import EXTRAS
from oodguard.sources.reader import list_source, source_at
from oodguard.sources.source import Source
from oodguard.training.data.card import content_sha256
from oodguard.training.data.dataset import load
from tests.sources.picture_files import SPEC, contents, encoded, write

GUESSED = ["train", "test", "val", "dev", "eval", "test-pattern", "freight-train", "training_set"]


@pytest.mark.parametrize("name", GUESSED)
def test_folder_reader_gives_no_meaning_to_the_name_of_a_file(tmp_path: Path, name: str) -> None:
    write(tmp_path / f"{name}.png", 0)
    for number in range(1, 4):
        write(tmp_path / f"{number}.png", number)
    assert contents(Source(folder=tmp_path), labelled=False) == dict.fromkeys(range(4))


@pytest.mark.parametrize("name", GUESSED)
def test_folder_reader_gives_no_meaning_to_the_name_of_a_class(tmp_path: Path, name: str) -> None:
    for part, number in (("train", 0), ("test", 10)):
        write(tmp_path / part / name / "a.png", number)
        write(tmp_path / part / "stop" / "b.png", number + 1)
    assert contents(Source(folder=tmp_path, split="train")) == {0: name, 1: "stop"}
    assert contents(Source(folder=tmp_path, split="test")) == {10: name, 11: "stop"}
    assert contents(Source(folder=tmp_path / "test")) == {10: name, 11: "stop"}


def test_folder_of_splits_is_refused_with_the_option_to_give(tmp_path: Path) -> None:
    for number, part in enumerate(("train", "Val", "test")):
        write(tmp_path / part / "cat" / "a.png", number)
    for source in (Source(folder=tmp_path), source_at(tmp_path)):
        with pytest.raises(
            RecipeError, match=r"splits \(Val, test, train\), .* split = 'train', .*/Val\."
        ):
            list_source(source, labelled=True)
    classes = Source(folder=tmp_path, split=".")
    assert contents(classes) == {0: "train", 1: "Val", 2: "test"}
    with pytest.raises(RecipeError, match="split is 'tset', expected one of the sub-folders Val, "):
        list_source(Source(folder=tmp_path, split="tset"), labelled=True)


@pytest.mark.parametrize(
    "name",
    [
        "photos [2024] #1",
        "a*b",
        "what?",
        "{x}",
        "100%",
        "a::b",
        "~",
        "~user",
        "é",
        b"caf\xe9",
        "\n",
    ],
    ids=repr,
)
def test_folder_reader_accepts_every_name(tmp_path: Path, name: str | bytes) -> None:
    special = os.fsdecode(name)
    for number, part in enumerate((special, "other")):
        write(tmp_path / special / special / part / f"{special}.png", number)
    source = Source(folder=tmp_path / special, split=special)
    assert list(contents(source)) in ([0, 1], [1, 0])
    images = load(source, SPEC, labelled=True)
    for text in (*images.classes, images.name, str(list_source(source, labelled=True))):
        text.encode()  # JSON and manifests contain it


def test_folder_reader_skips_no_label_for_other_files(tmp_path: Path) -> None:
    for number, name in enumerate(("cat", "dog")):
        write(tmp_path / name / "a.PNG", number)
    write(tmp_path / "dog" / "more" / "deep" / "b.png", 2)
    write(tmp_path / "montage.png", 3)
    write(tmp_path / ".hidden" / "c.png", 4)
    write(tmp_path / "cat" / "._a.png", 5)
    (tmp_path / "metadata.csv").write_text("file_name,film\ncat/a.PNG,1\n", encoding="utf-8")
    (tmp_path / "cat" / "no-ending").write_bytes(encoded(6))
    (tmp_path / "cat" / "film.MP4").write_bytes(b"")
    assert contents(Source(folder=tmp_path)) == {0: "cat", 1: "dog", 2: "dog"}
    listing = list_source(Source(folder=tmp_path), labelled=True)
    assert listing.skipped == {
        ".csv": 1,
        ".mp4": 1,
        "without an ending": 1,
        "outside of the class folders": 1,
    }
    assert (
        "3 images of 2 classes, 1 (cat) to 2 (dog) per class; skipped files: 1 .csv, 1 .mp4, 1 "
        in (str(listing))
    )
    unlabelled = contents(Source(folder=tmp_path), labelled=False)
    assert unlabelled == {0: "cat", 1: "dog", 2: "dog", 3: None}


def test_folder_reader_follows_links_but_not_in_circles(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "a.png", 1)
    write(tmp_path / "data" / "dog" / "b.png", 2)
    (tmp_path / "data" / "cat").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "dog" / "again").symlink_to(tmp_path / "data")
    assert contents(Source(folder=tmp_path / "data")) == {1: "cat", 2: "dog"}


@pytest.mark.parametrize("ending", EXTRAS)
def test_folder_reader_names_the_extra_that_reads_skipped_files(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oodguard.sources.folders.picture_endings", lambda: {".png"})
    write(tmp_path / "a" / "a.png", 1)
    (tmp_path / "a" / f"b{ending}").write_bytes(b"")
    text = str(list_source(Source(folder=tmp_path), labelled=False))
    assert f"skipped files: 1 {ending}" in text
    assert 'Install the "heif" extra' in text


def test_broken_images_are_named_all_at_once_or_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(4):
        write(tmp_path / "cat" / f"{number}.png", number)
    (tmp_path / "cat" / "1.png").write_bytes(encoded(1, "bmp")[:-20])
    (tmp_path / "cat" / "3.png").write_bytes(b"text")
    with pytest.raises(RecipeError) as caught:
        contents(Source(folder=tmp_path))
    text = str(caught.value)
    assert "cannot read 2 of 4 images" in text
    assert f"{tmp_path}/cat/1.png: image file is truncated" in text
    assert f"{tmp_path}/cat/3.png: the file is not an image of a format that can be read" in text
    assert "leave them out with skip_broken = true in its table of the recipe" in text
    assert contents(Source(folder=tmp_path, skip_broken=True)) == {0: "cat", 2: "cat"}
    assert "left out 2 images that cannot be read" in caplog.text


def test_folder_reader_reads_a_folder_once_per_class(tmp_path: Path) -> None:
    names = "abcdefghi"
    for number, name in enumerate(names):
        write(tmp_path / name / "picture.png", number)
        for other in names:
            (tmp_path / name / f"to-{other}").symlink_to(tmp_path / other)
    listing = list_source(Source(folder=tmp_path), labelled=True)
    assert listing.counts == dict.fromkeys(names, 9)


def test_deep_folders_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        Path(name).mkdir()
        os.chdir(name)
        for _ in range(1200):
            Path("d").mkdir()
            os.chdir("d")
        Path("1.png").write_bytes(encoded(1))
        os.chdir(tmp_path)
    assert list_source(Source(folder=tmp_path), labelled=True).counts == {"a": 1, "b": 1}
    subprocess.run(["/bin/rm", "-r", "a", "b"], check=True)  # pytest's own removal is recursive


@pytest.mark.parametrize("skip_broken", [False, True])
def test_pipes_and_devices_are_broken_images(tmp_path: Path, *, skip_broken: bool) -> None:
    write(tmp_path / "data" / "a" / "1.png", 1)
    os.mkfifo(tmp_path / "data" / "a" / "pipe.png")
    (tmp_path / "data" / "a" / "device.png").symlink_to("/dev/zero")
    table = tmp_path / "data" / "t.csv"
    table.write_text("image,label\na/1.png,a\na/pipe.png,a\na/device.png,a\n", encoding="utf-8")
    folder = Source(folder=tmp_path / "data", skip_broken=skip_broken)
    for source in (folder, Source(table=table, skip_broken=skip_broken)):
        if skip_broken:
            assert contents(source) == {1: "a"}
            assert len(content_sha256(list_source(source, labelled=True))) == 64
            continue
        with pytest.raises(RecipeError, match=r"2 of 3(.|\n)*pipe\.png.* a pipe or a device"):
            contents(source)


def test_table_that_is_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.csv")
    with pytest.raises(RecipeError, match=r"t\.csv: the path is a pipe or a device"):
        list_source(Source(table=tmp_path / "t.csv"), labelled=False)


@pytest.mark.parametrize("others", [["cat"], ["annotations", "train2017"], [".hidden"]])
def test_two_splits_are_refused_next_to_other_folders(tmp_path: Path, others: list[str]) -> None:
    for number, part in enumerate(("train", "Validation", *others)):
        write(tmp_path / part / "cat" / "a.png", number)
    (tmp_path / "test").mkdir()
    with pytest.raises(RecipeError, match=r"its sub-folders are splits \(Validation, train\)"):
        list_source(Source(folder=tmp_path), labelled=True)
    assert "train" in contents(Source(folder=tmp_path, split=".")).values()


def test_one_split_is_refused_next_to_pictures_of_other_things(tmp_path: Path) -> None:
    write(tmp_path / "train" / "cat" / "a.png", 0)
    write(tmp_path / "other" / "b.png", 1)
    with pytest.raises(RecipeError, match=r"splits \(train\), .* was not trained on\. If"):
        list_source(Source(folder=tmp_path), labelled=True)
    assert contents(Source(folder=tmp_path, split="train")) == {0: "cat"}
    write(tmp_path / "train" / "c.png", 2)
    assert contents(Source(folder=tmp_path)) == {0: "train", 1: "other", 2: "train"}


@pytest.mark.parametrize("name", ["train", "train_images"])
def test_folder_that_is_the_split_itself_is_refused_with_the_folder_to_give(
    tmp_path: Path, name: str
) -> None:
    for number, part in enumerate(("cat", "dog")):
        write(tmp_path / name / part / "a.png", number)
    with pytest.raises(RecipeError) as caught:
        list_source(Source(folder=tmp_path / name, split="train"), labelled=True)
    assert str(caught.value) == (
        f"{tmp_path}/{name}: split is 'train', but the folder is that split itself, with the"
        f" sub-folders cat, dog: remove split, or give the folder {tmp_path}"
    )


@pytest.mark.parametrize("name", ["train2017", "train_images", "dev"])
def test_one_folder_with_a_name_like_a_split_is_a_class(tmp_path: Path, name: str) -> None:
    for number, part in enumerate((name, "cat")):
        write(tmp_path / part / "a.png", number)
    for part in ("test", "val"):
        (tmp_path / part).mkdir()
    assert contents(Source(folder=tmp_path)) == {0: name, 1: "cat"}


@pytest.mark.parametrize(
    ("training", "test"),
    [("training_set", "test_set"), ("train2017", "val2017"), ("seg_train", "seg_test")],
)
def test_folders_named_like_several_splits_alone_are_refused(
    tmp_path: Path, training: str, test: str
) -> None:
    for number, part in enumerate((training, test)):
        write(tmp_path / part / "cat" / "a.png", number)
    with pytest.raises(RecipeError, match=f"are splits .* expected .* split = '{training}'"):
        list_source(Source(folder=tmp_path), labelled=True)
    assert contents(Source(folder=tmp_path, split=".")) == {0: training, 1: test}
    write(tmp_path / "cat" / "a.png", 2)
    assert len(list_source(Source(folder=tmp_path), labelled=True)) == 3


def test_folder_reader_skips_links_that_lead_to_themselves(tmp_path: Path) -> None:
    for number, name in enumerate(("cat", "dog")):
        write(tmp_path / name / "a.png", number)
        (tmp_path / name / "loop").symlink_to("loop")
    (tmp_path / "loop").symlink_to("loop")
    found = list_source(Source(folder=tmp_path), labelled=True)
    assert (len(found), found.classes) == (2, ("cat", "dog"))
    assert found.skipped == {"without an ending": 3}
