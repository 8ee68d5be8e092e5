"""The main job on a small image folder that is not CIFAR-10: fit, evaluate, export, decide."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from models.bundle import Bundle, open_bundle
from models.decision import Policy, threshold
from models.guard import Guard
from models.preprocessing import prepare
from training.checkpoint import RunFolder
from training.cli import app
from training.evaluation_file import read_report
from training.parity import onnx_run

ROOT = Path(__file__).parents[2]


def _oodguard_train(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train and evaluate the smoke recipe with fewer epochs and a short attack."""
    folder = tmp_path_factory.mktemp("path")
    text = (ROOT / "recipes" / "smoke.toml").read_text(encoding="utf-8")
    text = text.replace("[network]", 'scores = ["msp", "max_logit", "knn", "vim"]\n\n[network]')
    text = text.replace("epochs = 60", "epochs = 16").replace('"tests/', f'"{ROOT}/tests/')
    (folder / "smoke.toml").write_text(text, encoding="utf-8")
    run = folder / "run"
    _oodguard_train("fit", folder / "smoke.toml", "--out", run)
    attack = ("--steps", 3, "--restarts", 1, "--epsilon", 2, "--epsilon", 8)
    _oodguard_train("evaluate", run, "--images", 60, *attack)
    return run


@pytest.fixture(scope="module")
def bundle(run: Path) -> Bundle:
    output = _oodguard_train("export", run, "--out", run.parent / "bundle")
    assert "torch and ONNX Runtime agree on 130 images" in output
    return open_bundle(run.parent / "bundle")


def test_the_bundle_says_how_it_was_made(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert manifest.classes == ("no_entry", "priority_road", "stop", "yield")
    assert manifest.scores == ("msp", "max_logit", "knn", "vim", "energy")
    assert manifest.training.epsilon == pytest.approx(2 / 255)
    assert (manifest.training.inliers.images, manifest.training.epochs) == (120, 16)
    assert manifest.training.outliers is not None
    assert manifest.training.outliers.images == 120
    assert {len(scores) for scores in bundle.calibration.values()} == {110}


def test_the_graph_takes_pixels_and_keeps_the_batch_open(bundle: Bundle) -> None:
    graph = onnx.load_from_string(bundle.model).graph
    (images,) = graph.input
    assert images.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    dims = images.type.tensor_type.shape.dim
    assert dims[0].dim_param
    assert [dim.dim_value for dim in dims[1:]] == [32, 32, 3]
    assert [output.name for output in graph.output] == ["logits", "scores"]


def test_the_graph_tells_nothing_of_the_machine_that_made_it(bundle: Bundle) -> None:
    assert str(ROOT).encode() not in bundle.model
    assert b".py" not in bundle.model


def test_the_reports_figures_are_those_of_the_bundle(run: Path, bundle: Bundle) -> None:
    """Clean figures once more, from the bundle alone, by another library's AUROC."""
    report = read_report(RunFolder(run))
    guard = Guard(bundle, Policy(score=report.score), onnx_run(bundle.model))
    assert guard.threshold == pytest.approx(report.threshold, abs=1e-5)
    folders = {"cifar100": "cifar100", "textures": "textures", "hands": "hands"}
    inside = _images(bundle, "signs/test")
    accepted = guard.judge(inside)
    clean = report.conditions[0]
    rejected = np.mean([verdict.decision == "reject" for verdict in accepted])
    assert clean.false_rejection_rate == pytest.approx(float(rejected))
    for name, folder in folders.items():
        verdicts = guard.judge(_images(bundle, folder))
        missed = np.mean([verdict.decision == "accept" for verdict in verdicts])
        assert clean.sets[name].missed_ood_rate == pytest.approx(float(missed))
        scores = [verdict.scores[report.score] for verdict in (*accepted, *verdicts)]
        truth = [0] * len(accepted) + [1] * len(verdicts)
        assert clean.sets[name].auroc == pytest.approx(roc_auc_score(truth, scores), abs=1e-3)


def test_an_attack_never_helps_the_defender(run: Path) -> None:
    clean, *attacked = read_report(RunFolder(run)).conditions
    assert [condition.epsilon_255 for condition in (clean, *attacked)] == [0, 2, 8]
    for condition in attacked:
        assert condition.false_rejection_rate >= clean.false_rejection_rate
        for name, result in condition.sets.items():
            assert result.auroc <= clean.sets[name].auroc
            assert result.missed_ood_rate >= clean.sets[name].missed_ood_rate
    assert clean.mean_auroc > attacked[0].mean_auroc + 0.02 > attacked[1].mean_auroc + 0.04


def test_the_card_shows_the_table_and_the_recipe(run: Path, bundle: Bundle) -> None:
    card = (run.parent / "bundle" / "README.md").read_text(encoding="utf-8")
    assert "| set | clean | 2/255 | 8/255 |" in card
    assert RunFolder(run).recipe_text.strip() in card
    assert bundle.manifest.training.command in card


def test_a_fitted_score_is_the_same_in_evaluation_and_in_the_bundle(
    copy: Path, bundle: Bundle
) -> None:
    attack = ("--steps", 1, "--restarts", 1, "--epsilon", 2)
    _oodguard_train("evaluate", copy, "--score", "vim", "--images", 20, *attack)
    report = read_report(RunFolder(copy))
    limit = threshold(bundle.calibration["vim"], report.policy)
    assert report.threshold == pytest.approx(limit, rel=1e-4)
    assert report.conditions[0].mean_auroc > 0.5


def _refused_export(run: Path) -> str:
    out = run.parent / "refused"
    result = CliRunner().invoke(app, ["export", str(run), "--out", str(out)])
    assert result.exit_code == 1
    assert not out.exists()
    return result.stderr


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "copy"))


def test_a_run_that_was_not_evaluated_is_not_exported(copy: Path) -> None:
    (copy / "evaluation.json").unlink()
    assert "was not evaluated: run `oodguard-train evaluate" in _refused_export(copy)


def test_a_run_evaluated_by_another_score_is_not_exported(copy: Path) -> None:
    path = copy / "evaluation.json"
    path.write_text(path.read_text().replace('"score": "energy"', '"score": "msp"'))
    assert "was evaluated by 'msp', and 'energy' will decide" in _refused_export(copy)


def test_a_run_that_is_not_finished_is_not_exported(copy: Path) -> None:
    path = copy / "recipe.toml"
    path.write_text(path.read_text().replace("epochs = 16", "epochs = 17"))
    assert "16 of 17 epochs are done" in _refused_export(copy)


def test_an_unknown_score_is_one_clear_message(run: Path) -> None:
    result = CliRunner().invoke(app, ["evaluate", str(run), "--score", "odin"])
    assert result.exit_code == 1
    assert "score: came 'odin', wanted one of ['abstain', 'energy'" in result.stderr


def test_a_faulty_recipe_is_one_clear_message(tmp_path: Path, recipe_text: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(recipe_text.replace("epochs = 2", "epochs = -1"), encoding="utf-8")
    result = CliRunner().invoke(app, ["fit", str(path), "--out", str(tmp_path / "run")])
    assert result.exit_code == 1
    assert "schedule.epochs" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run").exists()


def _images(bundle: Bundle, folder: str) -> np.ndarray:
    paths = sorted((ROOT / "tests" / "data" / folder).rglob("*.png"))
    pictures = [prepare(Image.open(path), bundle.manifest.input) for path in paths]
    return np.stack(pictures)
