"""`data.json` of a run states what every source contains."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from oodguard.models.errors import RecipeError
from oodguard.sources.listing import Listing
from oodguard.sources.reader import list_source
from oodguard.sources.source import Source
from oodguard.training.data.card import check_unchanged, describe_data, read_data_card
from oodguard.training.run_folder import RunFolder
from tests.sources.picture_files import encoded, write
from tests.training.recipes import RECIPE


def test_data_card_has_counts_skipped_files_and_a_content_hash(tmp_path: Path) -> None:
    for number, name in enumerate(("cat", "dog", "cat")):
        write(tmp_path / "photos" / name / f"{number}.png", number)
    (tmp_path / "photos" / "notes.txt").write_text("", encoding="utf-8")
    listing = list_source(Source(folder=tmp_path / "photos"), labelled=True)
    run = RunFolder.create(tmp_path / "run", RECIPE)
    run.write_data(describe_data({"inliers": listing}))
    card = json.loads((tmp_path / "run" / "data.json").read_text(encoding="utf-8"))
    digest = sha256()
    for _, path in listing.pictures():
        assert isinstance(path, Path)
        digest.update(sha256(encoded(int(path.stem))).digest())
        digest.update(sha256(path.parent.name.encode()).digest())
    assert card["sources"]["inliers"] == {
        "location": f"{tmp_path}/photos",
        "images": 3,
        "classes": {"cat": 2, "dog": 1},
        "skipped": {".txt": 1},
        "left_out": {},
        "copies": None,
        "sha256": digest.hexdigest(),
    }
    RunFolder.create(tmp_path / "run", RECIPE)  # a run without a checkpoint can be replaced


@pytest.mark.parametrize("change", ["removed", "added", "reordered", "other content"])
def test_data_card_rejects_images_that_changed_since_fit(tmp_path: Path, change: str) -> None:
    photos = tmp_path / "photos"
    for number, name in enumerate(("cat", "dog", "cat")):
        write(photos / name / f"{number}.png", number)
    source = Source(folder=photos)
    run = RunFolder.create(tmp_path / "run", RECIPE)
    run.write_data(describe_data({"inliers": list_source(source, labelled=True)}))
    card = read_data_card(tmp_path / "run" / "data.json")
    assert card is not None
    (photos / "dog" / "1.png").rename(photos / "dog" / "one.png")  # in the same order
    check_unchanged(card, {"inliers": list_source(source, labelled=True)})
    if change == "removed":
        (photos / "cat" / "0.png").unlink()
    elif change == "reordered":
        (photos / "cat" / "0.png").rename(photos / "cat" / "9.png")
    else:
        write(photos / "cat" / ("5.png" if change == "added" else "0.png"), 7)
    with pytest.raises(RecipeError, match=r"sha256 .*, expected 3 images \(sha256") as caught:
        check_unchanged(card, {"inliers": list_source(source, labelled=True)})
    assert f"  inliers: {photos} contains " in str(caught.value)
    assert read_data_card(tmp_path / "other" / "data.json") is None


@pytest.mark.parametrize(
    ("films", "is_same"),
    [
        ("1 1 2 2", True),
        ("a a b b", True),
        ("b b a a", False),  # the split permutes the groups in the order of their names
        ("1 2 2 1", False),
        (None, False),
    ],
)
def test_data_card_rejects_groups_that_changed_since_fit(
    tmp_path: Path, films: str | None, is_same: bool
) -> None:
    """Other names of the same order are no change. Older cards have no groups."""
    photos = tmp_path / "photos"
    for number in range(4):
        write(photos / "cat" / f"{number}.png", number)

    def listed(values: str | None) -> dict[str, Listing]:
        if values is None:
            return {"inliers": list_source(Source(folder=photos), labelled=True)}
        rows = [f"cat/{at}.png,{film}" for at, film in enumerate(values.split())]
        (photos / "films.csv").write_text("\n".join(["image,film", *rows]), encoding="utf-8")
        source = Source(folder=photos, group="films.csv:film")
        return {"inliers": list_source(source, labelled=True)}

    RunFolder.create(tmp_path / "run", RECIPE).write_data(describe_data(listed("1 1 2 2")))
    card = read_data_card(tmp_path / "run" / "data.json")
    assert card is not None
    if is_same:
        check_unchanged(card, listed(films))
    else:
        with pytest.raises(
            RecipeError, match=r"inliers: the images of .*photos are in other groups"
        ):
            check_unchanged(card, listed(films))
    check_unchanged(describe_data(listed(None)), listed("1 2 2 1"))
