"""Runs that learn from a teacher: which folders can teach, and what a run records."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from oodguard.models.bundle import open_bundle
from oodguard.models.errors import RecipeError
from oodguard.training.cli.app import app
from oodguard.training.cli.sources import list_recipe
from oodguard.training.data.card import describe_data
from oodguard.training.fit.fit import fit
from oodguard.training.fit.teacher import read_teacher
from oodguard.training.run_folder import DATA, RunFolder
from oodguard.training.scoring.network import trained_network
from oodguard.training.scoring.parity import onnx_run
from tests.training.fit.observers import RecordingObserver, is_same
from tests.training.recipes import RECIPE, parsed

BUNDLES = Path(__file__).parents[3] / "models" / "pretrained"
SHORT = RECIPE.replace("epochs = 2", "epochs = 1")
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def _taught(weights: Path, text: str = SHORT) -> str:
    return f'{text}\n[teacher]\nweights = "{weights}"\nshare = 0.75\n'


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run with another width."""
    folder = tmp_path_factory.mktemp("runs") / "teacher"
    text = SHORT.replace("width = 4", "width = 5")
    run = RunFolder.create(folder, text)
    run.write_data(describe_data(list_recipe(text)))
    fit(run, RecordingObserver(), resume=False)
    return run


def test_teacher_changes_the_run_and_is_recorded(tmp_path: Path, teacher: RunFolder) -> None:
    plain = RunFolder.create(tmp_path / "plain", SHORT)
    alone = fit(plain, RecordingObserver(), resume=False)
    run = RunFolder.create(tmp_path / "taught", _taught(teacher.folder))
    progress = fit(run, RecordingObserver(), resume=False)
    assert not is_same(run.tensors(progress), plain.tensors(alone))
    content = (teacher.folder / "epoch-001.safetensors").read_bytes()
    assert alone.teacher is None
    assert progress.teacher is not None
    assert progress.teacher.name == "teacher/epoch-001.safetensors"
    assert progress.teacher.sha256 == hashlib.sha256(content).hexdigest()


def test_teacher_of_another_split_is_a_warning_and_recorded(
    tmp_path: Path, teacher: RunFolder
) -> None:
    """The taught run inherits it: a network that learns from it is warned as well."""
    text = _taught(teacher.folder)
    same, observer = RunFolder.create(tmp_path / "same", text), RecordingObserver()
    same.write_data(describe_data(list_recipe(text)))
    origin = fit(same, observer, resume=False).teacher
    assert origin is not None
    assert origin.same_split is True
    assert not any("split" in warning for warning in observer.warnings)
    other = RunFolder.create(tmp_path / "other", text.replace("seed = 3", "seed = 4"))
    observer = RecordingObserver()
    origin = fit(other, observer, resume=False).teacher
    assert origin is not None
    assert origin.same_split is False
    (warning,) = observer.warnings
    assert warning.startswith(
        "teacher.weights: teacher/epoch-001.safetensors may have learned calibration images of this"
        " run, because its split of the images is another one: seed is 3, here 4."
    )
    other.write_data(describe_data(list_recipe(text)))
    next_run = RunFolder.create(
        tmp_path / "next", _taught(other.folder, SHORT.replace("seed = 3", "seed = 4"))
    )
    origin = fit(next_run, observer, resume=False).teacher
    assert origin is not None
    assert origin.same_split is False
    assert "another one: it learned from weights of another split." in observer.warnings[1]


def test_teacher_that_changed_stops_a_resumed_run(tmp_path: Path, teacher: RunFolder) -> None:
    text = _taught(teacher.folder, RECIPE)
    run = RunFolder.create(tmp_path / "taught", text)
    with pytest.raises(KeyboardInterrupt):
        fit(run, RecordingObserver(stop_at=(1, 1)), resume=False)
    before = run.progress()
    assert before.teacher is not None
    origin = before.teacher.model_copy(update={"sha256": "0" * 64})
    run.commit(before.model_copy(update={"teacher": origin}))
    with pytest.raises(RecipeError, match=r"teacher\.weights: teacher/epoch-001.* expected 0000"):
        fit(run, RecordingObserver(), resume=True)
    run.commit(before)
    assert fit(run, RecordingObserver(), resume=True).teacher == before.teacher


def test_teacher_of_another_split_is_recorded_when_an_older_run_is_resumed(
    tmp_path: Path, teacher: RunFolder
) -> None:
    text = _taught(teacher.folder, RECIPE).replace("seed = 3", "seed = 4")
    run = RunFolder.create(tmp_path / "taught", text)
    with pytest.raises(KeyboardInterrupt):
        fit(run, RecordingObserver(stop_at=(1, 1)), resume=False)
    before = run.progress()
    assert before.teacher is not None
    assert before.teacher.same_split is False
    older = before.teacher.model_copy(update={"same_split": None})
    run.commit(before.model_copy(update={"teacher": older}))
    assert fit(run, RecordingObserver(), resume=True).teacher == before.teacher


def test_teacher_of_a_run_has_its_averaged_network(teacher: RunFolder) -> None:
    read = read_teacher(parsed(_taught(teacher.folder)), CLASSES)
    assert read is not None
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    expected = trained_network(teacher, classes=10)(images)
    torch.testing.assert_close(read.network(images), expected)
    assert not any(each.requires_grad for each in read.network.parameters())


def test_teacher_of_a_bundle_has_the_logits_of_its_graph_and_its_reject_class() -> None:
    folder = BUNDLES / "cifar10-aloe"
    text = _taught(folder, SHORT.replace('"aloe"', '"aloe-abstain"'))
    bundle = open_bundle(folder)
    read = read_teacher(parsed(text), bundle.manifest.classes)
    assert read is not None
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (8, 32, 32, 3), generator=generator, dtype=torch.uint8)
    outputs = read.network(images.permute(0, 3, 1, 2) / 255)
    logits, scores = onnx_run(bundle.model)(images.numpy())
    assert outputs.shape == (8, 11)
    torch.testing.assert_close(outputs[:, :10], torch.from_numpy(logits), atol=1e-4, rtol=1e-4)
    odds = outputs.softmax(1)[:, 10].logit()  # the log-odds of the reject class
    abstain = torch.from_numpy(scores[:, bundle.manifest.scores.index("abstain")])
    torch.testing.assert_close(odds, abstain, atol=1e-3, rtol=1e-3)


def test_teacher_that_does_not_fit_the_recipe_is_an_error(
    tmp_path: Path, teacher: RunFolder
) -> None:
    def message(text: str, classes: tuple[str, ...] = CLASSES) -> str:
        with pytest.raises(RecipeError) as caught:
            read_teacher(parsed(text), classes)
        return str(caught.value)

    text = _taught(teacher.folder)
    expected = "expected the folder of a run, with recipe.toml, or of a bundle, with manifest.json"
    missing = tmp_path / "missing"
    assert message(_taught(missing)) == f"teacher.weights: {missing} is missing, {expected}"
    assert f"{tmp_path} has neither, {expected}" in message(_taught(tmp_path))
    assert f"is no folder, {expected}" in message(_taught(teacher.folder / "recipe.toml"))
    assert "has no reject class, method 'aloe-abstain' requires one" in message(
        text.replace('"aloe"', '"aloe-abstain"')
    )
    assert "32x32 pixels, expected those of [input], 48x32" in message(
        text.replace("width = 32", "width = 48")
    )
    assert message(text, CLASSES[:9]).endswith(
        "has 10 classes, expected the 9 classes of the inliers in their order. The first difference"
        " is class 9: received 'truck', expected none. Choose another teacher, or select the same"
        " classes in the recipe of the run with inliers.only or inliers.leave_out"
    )
    assert "The first difference is class 10: received none, expected 'van'. Choose" in message(
        text, (*CLASSES, "van")
    )
    unfinished = RunFolder.create(tmp_path / "run", RECIPE)
    with pytest.raises(KeyboardInterrupt):
        fit(unfinished, RecordingObserver(stop_at=(1, 0)), resume=False)
    assert "has 1 of 2 epochs, expected a finished run" in message(_taught(unfinished.folder))
    bundle = _taught(BUNDLES / "gtsrb-aloe", SHORT.replace('"aloe"', '"aloe-abstain"'))
    assert "has 43 classes, expected the 10 classes" in message(bundle)
    assert "The first difference is class 0: received '0', expected 'airplane'." in message(bundle)
    plain = _taught(BUNDLES / "cifar10-aloe")
    assert "has a reject class, method 'aloe' requires none" in message(
        plain, open_bundle(BUNDLES / "cifar10-aloe").manifest.classes
    )
    with pytest.raises(RecipeError, match="teacher: method 'atom' does not use the"):
        parsed(text.replace('"aloe"', '"atom"'))


def test_fit_command_reports_a_wrong_teacher_before_it_creates_the_run(
    tmp_path: Path, teacher: RunFolder
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(_taught(teacher.folder))
    command = ["fit", str(recipe), "--out", str(tmp_path / "run")]
    assert CliRunner().invoke(app, command).exit_code == 0
    card = json.loads((tmp_path / "run" / DATA).read_text())
    classes = card["sources"]["inliers"]["classes"]
    card["sources"]["inliers"]["classes"] = dict(reversed(classes.items()))
    (tmp_path / "run" / DATA).write_text(json.dumps(card))
    recipe.write_text(_taught(tmp_path / "run"))
    rejected = CliRunner().invoke(app, ["fit", str(recipe), "--out", str(tmp_path / "next")])
    assert rejected.exit_code == 1
    assert "class 0: received 'truck', expected 'airplane'" in rejected.stderr
    assert not (tmp_path / "next").exists()
    card["sources"] = {}
    for text, fault in ((json.dumps(card), "data.json is without inliers"), (None, "is missing")):
        (tmp_path / "run" / DATA).unlink()
        if text is not None:
            (tmp_path / "run" / DATA).write_text(text)
        rejected = CliRunner().invoke(app, ["fit", str(recipe), "--out", str(tmp_path / "next")])
        assert rejected.exit_code == 1
        assert f"{fault}, expected the classes of the run" in rejected.stderr


@pytest.mark.parametrize("name", ["progress.json", "data.json", "epoch-001.safetensors"])
def test_teacher_with_a_pipe_in_its_folder_is_an_error(
    tmp_path: Path, teacher: RunFolder, name: str
) -> None:
    folder = shutil.copytree(teacher.folder, tmp_path / "teacher")
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(RecipeError, match=f"{name}: the path is a pipe or a device"):
        read_teacher(parsed(_taught(folder)), CLASSES)
