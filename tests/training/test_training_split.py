"""Whether earlier weights learned calibration images of the run that learns from them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from oodguard.models.bundle import open_bundle
from oodguard.models.errors import RecipeError
from oodguard.training.cli.sources import list_recipe
from oodguard.training.data.card import DataCard, SourceCard, describe_data
from oodguard.training.fit.fit import fit
from oodguard.training.run_folder import RunFolder
from oodguard.training.run_progress import WeightsOrigin
from oodguard.training.training_split import TrainingSplit, inliers_sha256, with_split
from oodguard.training.weights import read_initial_weights
from tests.training.fit.observers import RecordingObserver
from tests.training.recipes import RECIPE, parsed

BUNDLES = Path(__file__).parents[2] / "models" / "pretrained"
SHORT = RECIPE.replace("epochs = 2", "epochs = 1")


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run with another seed."""
    folder = tmp_path_factory.mktemp("runs") / "before"
    text = SHORT.replace("seed = 3", "seed = 4")
    run = RunFolder.create(folder, text)
    run.write_data(describe_data(list_recipe(text)))
    fit(run, RecordingObserver(), resume=False)
    return run


def test_initial_weights_of_another_split_are_a_warning_and_recorded(
    tmp_path: Path, before: RunFolder
) -> None:
    text, start = SHORT.replace("seed = 3", "seed = 4"), read_initial_weights(before.folder)
    card, observer = describe_data(list_recipe(text)), RecordingObserver()
    for name, found, expected in (("same", card, True), ("unknown", None, None)):
        run = RunFolder.create(tmp_path / name, text)
        if found:
            run.write_data(found)
        origin = fit(run, observer, resume=False, start=start).started_from
        assert origin is not None
        assert origin.same_split is expected
        assert not any("split" in warning for warning in observer.warnings)
    text = text.replace("calibration = 60", "calibration = 50")
    other, observer = RunFolder.create(tmp_path / "other", text), RecordingObserver()
    origin = fit(other, observer, resume=False, start=start).started_from
    assert origin is not None
    assert origin.same_split is False
    (warning,) = observer.warnings
    assert warning.startswith("--from: before/epoch-001.safetensors may have learned calibration")
    assert "inliers.calibration is 60, here 50; it has 120 training images, here 130." in warning


def test_initial_weights_of_the_same_images_in_another_order_are_a_warning(
    tmp_path: Path, before: RunFolder
) -> None:
    """`network.weights` are those of other images as a rule, and no warning then."""
    text = SHORT.replace("seed = 3", "seed = 4")
    inliers = describe_data(list_recipe(text)).sources["inliers"]
    other = DataCard(sources={"inliers": inliers.model_copy(update={"sha256": "0" * 64})})
    for name, pretrained, expected in (("from", False, False), ("pretrained", True, None)):
        run, observer = RunFolder.create(tmp_path / name, text), RecordingObserver()
        run.write_data(other)
        start = read_initial_weights(before.folder, pretrained=pretrained)
        origin = fit(run, observer, resume=False, start=start).started_from
        assert origin is not None
        assert origin.same_split is expected
        found = "its inliers are other images, or in another order" in "".join(observer.warnings)
        assert found == (expected is False)
    text = text.replace("calibration = 60", "calibration = 50")
    run, observer = RunFolder.create(tmp_path / "same images", text), RecordingObserver()
    run.write_data(describe_data(list_recipe(text)))
    fit(run, observer, resume=False, start=read_initial_weights(before.folder, pretrained=True))
    assert any(text.startswith("network.weights: before/") for text in observer.warnings)


def test_initial_weights_of_unknown_groups_or_origin_are_not_known_to_have_the_same_split() -> None:
    grouped = parsed(RECIPE.replace("calibration = 60", 'calibration = 60\ngroup = "folder"'))
    source = SourceCard(location="x", images=9, classes={"a": 9}, skipped={}, sha256="0" * 64)
    card = DataCard(sources={"inliers": source})
    assert inliers_sha256(card, grouped) is None  # an older card has no groups
    inliers = inliers_sha256(card, parsed(RECIPE))
    assert inliers is not None
    now = TrainingSplit(recipe=parsed(RECIPE), images=9, inliers=inliers)
    origin = WeightsOrigin(name="a", sha256="0" * 64)
    for known, expected in ((False, True), (None, None), (True, False)):
        earlier = replace(now, knows_others=known)
        found = with_split(origin, earlier, now, key="--from", warn=lambda _: None)
        assert found.same_split is expected


def test_initial_weights_of_a_run_that_started_from_a_file_have_an_unknown_origin(
    tmp_path: Path, before: RunFolder
) -> None:
    folder = shutil.copytree(before.folder, tmp_path / "started")
    run = RunFolder(folder)
    for same_split, expected in ((None, None), (True, False), (False, True)):
        origin = WeightsOrigin(name="a", sha256="0" * 64, same_split=same_split)
        run.commit(run.progress().model_copy(update={"started_from": origin}))
        split = TrainingSplit.of_run(run)
        assert split is not None
        assert split.knows_others is expected


def test_initial_weights_of_a_run_of_another_release_have_no_split(
    tmp_path: Path, before: RunFolder
) -> None:
    folder = shutil.copytree(before.folder, tmp_path / "older")
    recipe = folder / "recipe.toml"
    recipe.write_text("old_key = 1\n" + recipe.read_text())
    start = read_initial_weights(folder)
    assert start.split is None
    assert "head.weight" in start.tensors


def test_initial_weights_of_a_bundle_that_was_evaluated_with_another_recipe_have_no_split(
    tmp_path: Path,
) -> None:
    folder = shutil.copytree(BUNDLES / "cifar10-aloe", tmp_path / "bundle")
    evaluation = json.loads((folder / "evaluation.json").read_text())
    for change in ("seed = 1", 'method = "aloe-abstain"', "cifar10_train"):
        recipe = evaluation["recipe"]
        other = {"seed = 1": "seed = 2", 'method = "aloe-abstain"': 'method = "aloe"'}
        text = recipe.replace(change, other.get(change, "others"))
        assert text != recipe
        bundle = replace(open_bundle(folder), evaluation=evaluation | {"recipe": text})
        assert TrainingSplit.of_bundle(bundle) is None
    with pytest.raises(RecipeError, match=r"evaluation\.json is invalid: .*sha256"):
        TrainingSplit.of_bundle(
            replace(open_bundle(folder), evaluation=evaluation | {"teacher": {"name": "x"}})
        )


def test_initial_weights_of_a_bundle_have_the_split_of_its_recipe() -> None:
    split = read_initial_weights(BUNDLES / "cifar10-aloe").split
    assert split is not None
    assert (split.recipe.seed, split.recipe.inliers.calibration, split.images) == (1, 4000, 45000)
    now = TrainingSplit(recipe=parsed(RECIPE), images=45000, inliers=None)
    assert split.differences(now) == [
        "seed is 1, here 3",
        "inliers.validation is 1000, here 20",
        "inliers.calibration is 4000, here 60",
    ]
