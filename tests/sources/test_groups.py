"""Groups of near-duplicates in folders of pictures."""

import os
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from oodguard.models.errors import RecipeError
from oodguard.sources.groups import number_groups
from oodguard.sources.reader import list_source, source_at
from oodguard.sources.source import Source
from tests.sources.picture_files import write


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Write two classes with two films of two frames each, film 1 of both classes."""
    for label in ("cat", "dog"):
        for film in (1, 2):
            for frame in (1, 2):
                write(tmp_path / label / f"film{film}" / f"{film}_{frame}.png", 10 * film + frame)
    return tmp_path


def groups(folder: Path, rule: str, *, labelled: bool = True) -> dict[str, int]:
    listing = list_source(Source(folder=folder, group=rule), labelled=labelled)
    assert listing.groups is not None
    names = [Path(name).relative_to(folder).as_posix() for name, _ in listing.pictures()]
    return dict(zip(names, listing.groups.tolist(), strict=True))


def write_metadata(folder: Path, column: str = "file_name") -> None:
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    rows = [f"{name},{name.split('/')[1]}" for name in names]
    (folder / "metadata.csv").write_text("\n".join([f"{column},film", *rows]) + "\n")


@pytest.mark.parametrize(
    "rule", ["folder", r"name:film(\d)/", r"name:(\d)_\d\.png$", "name:film.", "metadata.csv:film"]
)
def test_groups_of_a_folder_are_the_films_of_each_class(films: Path, rule: str) -> None:
    write_metadata(films)
    found = groups(films, rule)
    assert len(set(found.values())) == 4  # film 1 of cats is not film 1 of dogs
    assert all(found[name] == found[name.replace("_2.", "_1.")] for name in found)


def test_groups_of_an_unlabelled_folder_are_its_sub_folders(films: Path) -> None:
    assert len(set(groups(films / "cat", "folder", labelled=False).values())) == 2


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("film", "group is 'film', expected 'folder', 'name:PATTERN' or 'FILE:COLUMN'"),
        ("name:(", "expected a regular expression, such as .*: missing \\)"),
        ("name:reel", "none of 8 pictures has a group: the first, .*1_1.png, does not match"),
        ("none.csv:film", "none.csv: cannot read the groups: No such file or directory"),
        ("metadata.csv:reel", "found the columns .*, expected 'reel' and one of file_name"),
        ("metadata.csv:", "group is 'metadata.csv:', expected"),
        ("pipe.csv:film", "pipe.csv: the path is a pipe or a device, expected a file"),
        ("long.csv:film", "long.csv: cannot read the groups: field larger than field limit"),
    ],
)
def test_rule_that_does_not_group_every_picture_is_refused(
    films: Path, rule: str, message: str
) -> None:
    write_metadata(films)
    os.mkfifo(films / "pipe.csv")
    (films / "long.csv").write_text("file_name,film\n" + "x" * 200_000 + ",1\n")
    with pytest.raises(RecipeError, match=message):
        groups(films, rule)


def test_pictures_without_a_sub_folder_or_a_row_are_named(films: Path) -> None:
    write_metadata(films)
    write(films / "cat" / "new.png", 1)
    with pytest.raises(
        RecipeError,
        match=r"found 1 picture without a group among 9, .*\n  cat/new.png: is in no sub-fol",
    ):
        groups(films, "folder")
    with pytest.raises(RecipeError, match=r"cat/new.png: has no row in metadata.csv"):
        groups(films, "metadata.csv:film")
    with (films / "metadata.csv").open("a") as file:
        file.write("cat/new.png,\n")
    with pytest.raises(RecipeError, match=r"cat/new.png: has an empty group"):
        groups(films, "metadata.csv:film")


def test_group_is_a_column_of_a_table_and_a_rule_of_a_folder(films: Path) -> None:
    write_metadata(films, "image")
    for path, rule in ((films, "folder"), (films / "metadata.csv", "film")):
        listing = list_source(source_at(path, group=rule), labelled=False)
        assert listing.groups is not None
        assert len(set(listing.groups.tolist())) == (4 if path == films else 2)


def test_group_across_classes_joins_the_images_of_one_value_and_keeps_their_labels(
    films: Path,
) -> None:
    write_metadata(films, "image")
    rule = r"name:film(\d)/"
    for path, group in ((films, rule), (films / "metadata.csv", "film")):
        listing = list_source(
            source_at(path, group=group, group_across_classes=True), labelled=path == films
        )
        assert listing.groups is not None
        assert len(set(listing.groups.tolist())) == 2
        assert listing.shared_values is None
        if path == films:
            assert set(listing.labels.tolist()) == {0, 1}
            # Half of each group's images show cats, and half dogs.
            for number in (0, 1):
                assert listing.labels[listing.groups == number].mean() == 0.5


def test_listing_describes_values_that_several_classes_share(films: Path) -> None:
    listing = list_source(source_at(films, group=r"name:film(\d)/"), labelled=True)
    assert listing.shared_values == (
        "4 groups of 2 values: a value that several classes share is one group for each of them,"
        " and with group_across_classes = true in its table of the recipe one group in all"
    )


def test_group_across_classes_without_a_group_is_refused(films: Path) -> None:
    with pytest.raises(RecipeError, match=r"group_across_classes .* expected group"):
        source_at(films, group_across_classes=True)
    with pytest.raises(ValidationError, match="group_across_classes is true, expected group too"):
        Source(folder=films, group_across_classes=True)


def test_group_across_classes_by_the_folder_of_the_class_is_refused_with_a_rule_that_works(
    films: Path,
) -> None:
    rule = "name:/(.+)/"
    with pytest.raises(RecipeError, match=rf"no effect with .* folder.*, expected '{rule}'"):
        source_at(films, group="folder", group_across_classes=True)
    with pytest.raises(ValidationError, match="group is 'folder' and group_across_classes is true"):
        Source(folder=films, group="folder", group_across_classes=True)
    listing = list_source(source_at(films, group=rule, group_across_classes=True), labelled=True)
    assert listing.groups is not None
    assert len(set(listing.groups.tolist())) == 2


def test_groups_of_whole_numbers_are_the_same_as_integers_and_as_floats() -> None:
    labels = np.zeros(4, np.int64)
    assert number_groups([1, 1.0, 2.5, "1"], labels).tolist() == [0, 0, 1, 0]
