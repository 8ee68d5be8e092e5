"""Fit, evaluate, export and predict on a small image folder that is not CIFAR-10."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import safetensors.torch
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from oodguard.models.bundle import Bundle, open_bundle
from oodguard.models.calibrated_model import CalibratedModel
from oodguard.models.decision import Policy, threshold
from oodguard.models.errors import RecipeError
from oodguard.training.cli.app import app
from oodguard.training.config.evaluation_sources import evaluation_sources
from oodguard.training.config.suites import SUITES, SuiteAttack, SuiteTrials
from oodguard.training.data.dataset import load
from oodguard.training.evaluation.partial_results import only_evaluation
from oodguard.training.report.model import Check, Report, Trust
from oodguard.training.report.write import read_report
from oodguard.training.run_folder import RunFolder
from oodguard.training.scoring.parity import onnx_run

ROOT = Path(__file__).parents[3]

SHORT = SUITES["standard"].model_copy(
    update={
        "budgets_255": (2.0, 8.0),
        "test_images": 60,
        "outlier_images": 40,
        "ascent": SuiteAttack(kind="apgd", steps=3, restarts=1, end_to_end=3),
        "trials": SuiteTrials(),
    }
)

"""The standard suite with few images and steps."""


def _oodguard_train(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Train and evaluate the smoke recipe with fewer epochs and a short attack."""
    folder = tmp_path_factory.mktemp("path")
    text = (ROOT / "recipes" / "smoke.toml").read_text(encoding="utf-8")
    text = text.replace("[network]", 'scores = ["msp", "max_logit", "knn", "vim"]\n\n[network]')
    text = text.replace("epochs = 60", "epochs = 16").replace('"tests/', f'"{ROOT}/tests/')
    (folder / "smoke.toml").write_text(text, encoding="utf-8")
    run = folder / "run"
    _oodguard_train("fit", folder / "smoke.toml", "--out", run)
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr("oodguard.training.cli.evaluate.SUITES", {**SUITES, "standard": SHORT})
    _oodguard_train("evaluate", run)
    yield run
    monkeypatch.undo()


@pytest.fixture(scope="module")
def bundle(run: Path) -> Bundle:
    output = _oodguard_train("export", run, "--out", run.parent / "bundle")
    assert "torch and ONNX Runtime agree on 130 images" in output
    return open_bundle(run.parent / "bundle")


def test_exported_manifest_records_the_training(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert manifest.classes == ("no_entry", "priority_road", "stop", "yield")
    assert manifest.scores == ("msp", "max_logit", "knn", "vim", "energy")
    assert manifest.training.epsilon == pytest.approx(2 / 255)
    assert (manifest.training.inliers.images, manifest.training.epochs) == (120, 16)
    assert manifest.training.outliers is not None
    assert manifest.training.outliers.images == 120
    assert {len(scores) for scores in bundle.calibration.values()} == {110}


def test_exported_graph_has_uint8_input_and_a_dynamic_batch(bundle: Bundle) -> None:
    graph = onnx.load_from_string(bundle.model).graph
    (images,) = graph.input
    assert images.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    dims = images.type.tensor_type.shape.dim
    assert dims[0].dim_param
    assert [dim.dim_value for dim in dims[1:]] == [32, 32, 3]
    assert [output.name for output in graph.output] == ["logits", "scores"]


def test_exported_graph_has_no_paths_of_the_machine(bundle: Bundle) -> None:
    assert str(ROOT).encode() not in bundle.model
    assert b".py" not in bundle.model


def test_report_figures_equal_those_computed_from_the_bundle(run: Path, bundle: Bundle) -> None:
    """Compute the clean figures from the bundle alone, with the AUROC of scikit-learn."""
    report = read_report(RunFolder(run))
    guard = CalibratedModel(bundle, Policy(score=report.score), onnx_run(bundle.model))
    assert guard.threshold == pytest.approx(report.threshold, abs=1e-5)
    recipe = RunFolder(run).recipe
    test, outliers = evaluation_sources(recipe)
    inside = load(test, recipe.input).images.numpy()
    accepted = guard.predict(inside)
    clean = report.conditions[0]
    rejected = np.mean([verdict.decision == "reject" for verdict in accepted])
    assert clean.false_rejection_rate == pytest.approx(float(rejected))
    assert set(clean.sets) == {"cifar100", "textures", "hands"}
    for name, source in outliers.items():
        pictures = load(source, recipe.input).images.numpy()[: SHORT.outlier_images]
        verdicts = guard.predict(pictures)
        missed = np.mean([verdict.decision == "accept" for verdict in verdicts])
        assert clean.sets[name].missed_ood_rate == pytest.approx(float(missed))
        scores = [verdict.scores[report.score] for verdict in (*accepted, *verdicts)]
        truth = [0] * len(accepted) + [1] * len(verdicts)
        assert clean.auroc(name) == pytest.approx(roc_auc_score(truth, scores), abs=1e-3)


def test_report_figures_do_not_improve_with_epsilon(run: Path) -> None:
    clean, *attacked = read_report(RunFolder(run)).conditions
    assert [condition.epsilon_255 for condition in (clean, *attacked)] == [0, 2, 8]
    for condition in attacked:
        assert condition.false_rejection_rate >= clean.false_rejection_rate
        for name, result in condition.sets.items():
            assert condition.auroc(name) <= clean.auroc(name)
            assert result.missed_ood_rate >= clean.sets[name].missed_ood_rate
    assert clean.mean_auroc > attacked[0].mean_auroc + 0.02 > attacked[1].mean_auroc + 0.04


def test_exported_card_shows_the_table_and_the_recipe(run: Path, bundle: Bundle) -> None:
    card = (run.parent / "bundle" / "README.md").read_text(encoding="utf-8")
    assert "| set | clean | 2/255 | 8/255 |" in card
    assert RunFolder(run).recipe_text.strip() in card
    assert bundle.manifest.training.command in card


@pytest.mark.usefixtures("short_suite")
def test_fitted_score_has_the_same_threshold_in_evaluation_and_bundle(
    copy: Path, bundle: Bundle
) -> None:
    _oodguard_train("evaluate", copy, "--score", "vim")
    report = read_report(RunFolder(copy))
    limit = threshold(bundle.calibration["vim"], report.policy)
    assert report.threshold == pytest.approx(limit, rel=1e-4)
    assert report.conditions[0].mean_auroc > 0.5


def test_recipe_of_a_run_that_was_edited_is_refused(copy: Path) -> None:
    recipe = copy / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("seed = 1", "seed = 2"))
    for words in (("evaluate", copy), ("export", copy, "--out", copy.parent / "edited")):
        result = CliRunner().invoke(app, [str(word) for word in words])
        assert result.exit_code == 1
        assert "the recipe was changed after training" in result.output
    assert not (copy.parent / "edited").exists()


def test_report_of_other_weights_is_refused(run: Path, copy: Path) -> None:
    (tensors,) = copy.glob("epoch-*.safetensors")
    assert read_report(RunFolder(copy)).weights == RunFolder(run).weights_sha256()
    saved = safetensors.torch.load_file(tensors)
    safetensors.torch.save_file({key: each * 2 for key, each in saved.items()}, tensors)
    with pytest.raises(RecipeError, match="was measured on other weights than the last checkpoint"):
        read_report(RunFolder(copy))


def test_evaluation_of_the_bundle_equals_that_of_the_run(
    run: Path, bundle: Bundle, tmp_path: Path
) -> None:
    """White-box attacks are as strong on the exported graph as on the network."""
    _oodguard_train("evaluate", run.parent / "bundle", "--out", tmp_path)
    of_bundle = Report.model_validate_json((tmp_path / "evaluation.json").read_bytes())
    of_run = read_report(RunFolder(run))
    assert (of_run.measured, of_bundle.measured) == ("run", bundle.sha256)
    assert of_run.weights == RunFolder(run).weights_sha256()
    assert of_bundle.weights == bundle.manifest.files["model.onnx"].sha256
    assert of_bundle.accuracy == pytest.approx(of_run.accuracy)
    for one, two in zip(of_run.conditions, of_bundle.conditions, strict=True):
        assert two.mean_auroc == pytest.approx(one.mean_auroc, abs=0.02)
        assert two.replayed is not None
        assert two.replayed.mean_auroc == pytest.approx(two.mean_auroc, abs=0.02)


def test_evaluate_renew_replaces_the_figures_of_a_bundle(
    bundle: Bundle, run: Path, tmp_path: Path
) -> None:
    renewed = tmp_path / "bundle"
    shutil.copytree(run.parent / "bundle", renewed)
    _oodguard_train("evaluate", renewed, "--renew", "--out", tmp_path / "report")
    fresh = open_bundle(renewed)
    assert fresh.model == bundle.model
    assert fresh.evaluation["measured"] == bundle.sha256 != fresh.sha256
    assert fresh.evaluation["weights"] == hashlib.sha256(fresh.model).hexdigest()
    page = (tmp_path / "report" / "evaluation.html").read_text(encoding="utf-8")
    assert f"a bundle (model.onnx: sha256 {hashlib.sha256(fresh.model).hexdigest()[:12]})" in page
    assert bundle.sha256[:12] not in page
    assert fresh.evaluation["recipe"] == RunFolder(run).recipe_text


def test_evaluate_writes_markdown_and_html(run: Path) -> None:
    assert "| set | clean | 2/255 | 8/255 |" in (run / "evaluation.md").read_text()
    page = (run / "evaluation.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "Ranking" in page


@pytest.mark.usefixtures("short_suite")
def test_evaluate_compares_a_detector_outside_the_graph(copy: Path) -> None:
    _oodguard_train("evaluate", copy, "--beside", "odin")
    energy, odin = read_report(RunFolder(copy)).results
    assert (energy.score, odin.score) == ("energy", "odin")
    assert odin.conditions[0].replayed is None
    assert odin.conditions[-1].mean_auroc < odin.conditions[0].mean_auroc


@pytest.mark.usefixtures("short_suite")
def test_untrusted_evaluation_exits_with_code_3_and_is_not_exported(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = Check(name="reaches zero", outcome="failed", figure=0.5, expected="at most 0.02")
    stamped = Trust(stamp="untrusted", checks=(failed,))
    monkeypatch.setattr(
        "oodguard.training.evaluation.evaluate.run_masking_checks", lambda _: stamped
    )
    result = CliRunner().invoke(app, ["evaluate", str(copy)])
    assert result.exit_code == 3
    assert "untrusted: reaches zero: 0.5, expected at most 0.02" in result.output
    assert "the figures are untrusted" in _rejected_export(copy)


def _rejected_export(run: Path) -> str:
    out = run.parent / "rejected"
    result = CliRunner().invoke(app, ["export", str(run), "--out", str(out)])
    assert result.exit_code == 1
    assert not out.exists()
    return result.stderr


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "copy"))


def test_quick_evaluation_is_exported_with_a_stamp(copy: Path, tmp_path: Path) -> None:
    text = (copy / "evaluation.json").read_text().replace('"name": "standard"', '"name": "quick"')
    (copy / "evaluation.json").unlink()
    (copy / "evaluation-quick.json").write_text(text)
    output = _oodguard_train("export", copy, "--out", tmp_path / "quick")
    assert "the bundle is stamped quick" in output
    manifest = open_bundle(tmp_path / "quick").manifest
    assert (manifest.stamp, manifest.schema_version) == ("quick", 3)
    card = (tmp_path / "quick" / "README.md").read_text(encoding="utf-8")
    assert "**Quick evaluation.** The figures are those of the suite quick" in card


def test_exported_card_lists_the_classes(run: Path, bundle: Bundle) -> None:
    card = (run.parent / "bundle" / "README.md").read_text(encoding="utf-8")
    section = card.partition("## Classes")[2].partition("## Guarantee")[0]
    assert all(f"| {name} | 15 |" in section for name in bundle.manifest.classes)
    assert (bundle.manifest.stamp, bundle.manifest.schema_version) == (None, 3)
    report = read_report(RunFolder(run))
    correct = sum(each.correct for each in report.classes)
    assert correct / sum(each.images for each in report.classes) == pytest.approx(report.accuracy)


def test_fit_and_evaluate_write_the_training_curves(run: Path) -> None:
    assert "Training curves, 16 epochs" in (run / "training.html").read_text(encoding="utf-8")


def test_export_rejects_a_run_without_an_evaluation(copy: Path) -> None:
    (copy / "evaluation.json").unlink()
    assert "has no evaluation.json. Run `oodguard-train evaluate" in _rejected_export(copy)


def test_export_during_another_evaluation_warns(copy: Path, tmp_path: Path) -> None:
    with only_evaluation(copy / ".evaluation-quick.parts"):
        output = _oodguard_train("export", copy, "--out", tmp_path / "bundle", "--attack", 0)
    assert "has not ended: the bundle gets the figures of the last finished one" in output


def test_export_rejects_a_run_evaluated_by_another_score(copy: Path) -> None:
    path = copy / "evaluation.json"
    path.write_text(path.read_text().replace('"score": "energy"', '"score": "msp"'))
    assert "evaluated by score 'msp', expected the default score 'energy'" in _rejected_export(copy)


def test_export_rejects_an_unfinished_run(copy: Path) -> None:
    path = copy / "progress.json"
    progress = json.loads(path.read_text())
    path.write_text(json.dumps(progress | {"epochs": progress["epochs"][:-1]}))
    assert "finished epochs: 15 of 16. Finish" in _rejected_export(copy)


def test_evaluate_rejects_an_unknown_score(run: Path) -> None:
    result = CliRunner().invoke(app, ["evaluate", str(run), "--score", "odin"])
    assert result.exit_code == 1
    assert "score is 'odin', expected one of ['abstain', 'energy'" in result.stderr
