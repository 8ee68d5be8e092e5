"""`oodguard-train wrap`, from a file and folders of images to a bundle that predicts."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from oodguard.models.bundle import Bundle, open_bundle
from oodguard.models.calibrated_model import CalibratedModel
from oodguard.models.decision import Policy
from oodguard.models.group_calibration import group_threshold
from oodguard.sources.reader import source_at
from oodguard.training.cli.app import app
from oodguard.training.cli.wrap_options import named_sources
from oodguard.training.scoring.parity import onnx_run
from oodguard.training.wrap.card import wrapped_figures
from tests.training.wrap.classifiers import (
    CLASSES,
    SIZE,
    expected_logits,
    exported,
    hand_made,
)
from tests.training.wrap.wrap_command import report_of, wrap


@pytest.fixture(scope="module")
def of_torch(pictures: Path) -> Bundle:
    """A network exported by torch with a batch size of 1, wrapped with a set of outliers."""
    exported(pictures / "net.onnx", batch=1)
    out = pictures / "of-torch"
    done = wrap(pictures / "net.onnx", pictures, out, "--outliers", pictures / "greys")
    assert done.exit_code == 0, done.output
    assert "warning" not in done.output
    assert f"--data: {pictures}/colours: 180 images of 3 classes, 60 per class\n" in done.output
    assert "Read colours: 180 images.\nRead greys: 40 images.\n" in done.output
    return open_bundle(out)


def test_wrapped_bundle_records_the_original_and_that_it_is_not_hardened(
    pictures: Path, of_torch: Bundle
) -> None:
    training = of_torch.manifest.training
    assert (training.method, training.epsilon, training.epochs) == ("wrapped", 0, 0)
    assert of_torch.manifest.name == "of-torch"
    assert training.origin is not None
    assert set(training.origin) == {"net.onnx", *(path.name for path in pictures.glob("*.data"))}
    card = (pictures / "of-torch" / "README.md").read_text(encoding="utf-8")
    assert "**Not hardened, and no attack was measured.**" in card
    assert training.origin["net.onnx"].sha256 in card
    assert "Images: colours: 180 images; greys: 40 images." in card


def test_wrapped_figures_are_of_images_that_did_not_set_the_threshold(of_torch: Bundle) -> None:
    report = report_of(of_torch)
    assert report.attacked == "not measured"
    assert (report.calibration_images, report.accuracy_images) == (90, 90)
    assert report.accuracy == 1
    assert set(report.scores) == set(of_torch.manifest.scores)
    # Every grey image is darker in its strongest channel than every coloured one.
    assert report.scores["energy"].sets["greys"].auroc > 0.95
    assert report.scores["energy"].sets["greys"].images == 40
    assert "random" not in wrapped_figures(report)


def test_wrap_divides_and_calibrates_by_groups(pictures: Path, of_torch: Bundle) -> None:
    assert of_torch.rows.groups is None
    films = ("--group", r"name:(\d)\.\w+$")  # by the last digit: 10 films of each of 3 classes
    refused = wrap(pictures / "net.onnx", pictures, pictures / "films", *films)
    assert refused.exit_code == 3
    assert "half of 30 groups calibrates, 15, expected at least 59" in refused.output.replace(
        "\n", ""
    )
    assert "the promises hold only with this option" in refused.output.replace("\n", " ")
    joined = (*films, "--group-across-classes")
    refused = wrap(pictures / "net.onnx", pictures, pictures / "films", *joined)
    assert "half of 10 groups calibrates, 5, expected at least 59" in refused.output.replace(
        "\n", ""
    )
    done = wrap(
        *(pictures / "net.onnx", pictures, pictures / "films", *films),
        *("--alpha", "0.2", "--delta", "0.2"),
    )
    assert done.exit_code == 0, done.output
    bundle = open_bundle(pictures / "films")
    report = report_of(bundle)
    assert bundle.rows.groups is not None
    assert (bundle.rows.group_count, report.calibration_groups) == (15, 15)
    assert report.calibration_images + report.accuracy_images == 180
    assert "calibration images in 15 groups, which count as one each" in " ".join(
        (pictures / "films" / "README.md").read_text(encoding="utf-8").split()
    )
    limit = group_threshold(bundle.rows.scores["energy"], bundle.rows.groups, alpha=0.2, delta=0.2)
    assert report.scores["energy"].threshold == limit


def test_wrapped_figures_state_that_no_score_is_better_than_a_random_one(of_torch: Bundle) -> None:
    report = report_of(of_torch)
    worse = {
        name: figures.model_copy(
            update={
                "sets": {
                    key: row.model_copy(update={"auroc": 0.3}) for key, row in figures.sets.items()
                }
            }
        )
        for name, figures in report.scores.items()
    }
    text = wrapped_figures(report.model_copy(update={"scores": worse}))
    assert "but no score is better than a random one (.500)." in text


def test_wrapped_bundle_predicts_what_is_computed_by_hand(pictures: Path, of_torch: Bundle) -> None:
    guard = CalibratedModel(of_torch, Policy(score="energy"), onnx_run(of_torch.model))
    paths = sorted((pictures / "colours").rglob("*.png"))
    images = np.stack([np.asarray(Image.open(path)) for path in paths])
    logits = expected_logits(images)
    for path, row, verdict in zip(paths, logits, guard.predict(images), strict=True):
        assert verdict.label == path.parent.name
        assert verdict.scores["energy"] == pytest.approx(-np.log(np.exp(row).sum()), rel=1e-4)


def test_wrapped_graph_has_no_paths_of_the_machine(of_torch: Bundle) -> None:
    assert b".py" not in of_torch.model


def test_wrap_of_probabilities_uses_meaningful_scores(pictures: Path, tmp_path: Path) -> None:
    path = tmp_path / "softmax.onnx"
    onnx.save(hand_made(tail=("Softmax",), opset=13, ir_version=7), path)
    rejected = wrap(path, pictures, tmp_path / "bundle")
    assert rejected.exit_code == 1
    assert "outputs are probabilities, expected logits" in rejected.stderr
    done = wrap(path, pictures, tmp_path / "bundle", "--outputs", "probabilities")
    assert done.exit_code == 0, done.output
    bundle = open_bundle(tmp_path / "bundle")
    assert bundle.manifest.default_score == "msp"
    assert {"energy", "max_logit"}.isdisjoint(bundle.manifest.scores)
    assert "No out-of-distribution images were given" in done.output
    images = np.full((1, SIZE, SIZE, 3), (200, 40, 30), np.uint8)
    (row,) = expected_logits(images)
    (verdict,) = CalibratedModel(bundle, Policy(score="msp"), onnx_run(bundle.model)).predict(
        images
    )
    assert verdict.label == "red"
    assert verdict.confidence == pytest.approx(np.exp(row.max()) / np.exp(row).sum(), rel=1e-4)


def test_wrap_escapes_class_names_in_the_card(pictures: Path, tmp_path: Path) -> None:
    onnx.save(hand_made(), tmp_path / "classifier.onnx")
    names = ("<script>b", "a|b", "new\nline")
    for colour, name in zip(CLASSES, names, strict=True):
        shutil.copytree(pictures / "colours" / colour, tmp_path / "data" / "colours" / name)
    done = wrap(tmp_path / "classifier.onnx", tmp_path / "data", tmp_path / "bundle")
    assert done.exit_code == 0, done.output
    assert set(open_bundle(tmp_path / "bundle").manifest.classes) == set(names)
    card = (tmp_path / "bundle" / "README.md").read_text(encoding="utf-8")
    assert r"| classes | &lt;script&gt;b, a\|b, new\\nline |" in card.splitlines()


def test_wrap_reads_class_names_with_a_byte_order_mark(pictures: Path, tmp_path: Path) -> None:
    onnx.save(hand_made(), tmp_path / "classifier.onnx")
    (tmp_path / "names.txt").write_text("\n".join(CLASSES), encoding="utf-8-sig")
    options = ("--classes", tmp_path / "names.txt")
    done = wrap(tmp_path / "classifier.onnx", pictures, tmp_path / "bundle", *options)
    assert done.exit_code == 0, done.output
    assert open_bundle(tmp_path / "bundle").manifest.classes == CLASSES


def test_wrap_warns_where_hardly_anything_is_rejected_and_suggests_a_score(
    pictures: Path, tmp_path: Path
) -> None:
    onnx.save(hand_made(), tmp_path / "classifier.onnx")
    shutil.copytree(pictures / "colours" / "red", tmp_path / "similar")
    outliers = ("--outliers", tmp_path / "similar", "--outliers", pictures / "greys")
    done = wrap(tmp_path / "classifier.onnx", pictures, tmp_path / "bundle", *outliers)
    assert done.exit_code == 0, done.output
    report = report_of(open_bundle(tmp_path / "bundle"))
    missed = report.scores["energy"].sets["similar"].missed_ood_rate
    assert missed > 0.9
    card = (tmp_path / "bundle" / "README.md").read_text(encoding="utf-8")
    for text in (" ".join(done.output.split()), " ".join(card.split())):
        assert "it rejects hardly any of these images" in text
        assert "Mean AUROC by score:" in text


def test_wrap_advises_no_score_while_the_preprocessing_is_in_doubt(
    pictures: Path, tmp_path: Path
) -> None:
    onnx.save(hand_made(), tmp_path / "classifier.onnx")
    shutil.copytree(pictures / "colours" / "red", tmp_path / "similar")
    (tmp_path / "names.txt").write_text("\n".join(CLASSES), encoding="utf-8")
    wrong = ("--channel-order", "bgr", "--classes", tmp_path / "names.txt")
    outliers = ("--outliers", tmp_path / "similar")
    done = wrap(tmp_path / "classifier.onnx", pictures, tmp_path / "bundle", *wrong, *outliers)
    assert done.exit_code == 0, done.output
    missed = report_of(open_bundle(tmp_path / "bundle")).scores["energy"].sets["similar"]
    assert missed.missed_ood_rate > 0.8
    card = (tmp_path / "bundle" / "README.md").read_text(encoding="utf-8")
    for text in (" ".join(done.output.split()), " ".join(card.split())):
        assert text.count("wrap the classifier again with --channel-order rgb") == 1
        assert "Compare the scores once the accuracy is right" in text
        assert "it rejects hardly any" not in text
        assert "--score" not in text


def test_wrap_states_that_it_replaced_a_bundle_of_the_same_version(
    pictures: Path, tmp_path: Path
) -> None:
    onnx.save(hand_made(), tmp_path / "classifier.onnx")
    words = (tmp_path / "classifier.onnx", pictures, tmp_path / "bundle")
    first = wrap(*words)
    old = open_bundle(tmp_path / "bundle").sha256[:12]
    again = wrap(*words, "--score", "msp")
    assert "replaced the bundle" not in first.output
    assert (
        f"warning: {tmp_path}/bundle: replaced the bundle bundle 1, sha256 {old}. The new one has"
        " the same name and version, but other contents: give another version with --version"
    ) in again.output
    newer = wrap(*words, "--version", "2").output
    assert f"{tmp_path}/bundle: replaced the bundle bundle 1, sha256" in newer
    assert "same name and version" not in newer


@pytest.mark.slow
@pytest.mark.usefixtures("short_suite")
def test_evaluate_attacks_a_wrapped_bundle_that_torch_cannot_run_as_a_black_box(
    pictures: Path, tmp_path: Path
) -> None:
    onnx.save(hand_made(tail=("Celu",)), tmp_path / "classifier.onnx")
    done = wrap(tmp_path / "classifier.onnx", pictures, tmp_path / "bundle")
    assert done.exit_code == 0, done.output
    recipe = f"""
[evaluation]
test = {{ folder = "{pictures / "colours"}" }}
outliers = {{ greys = {{ folder = "{pictures / "greys"}" }} }}
"""
    (tmp_path / "recipe.toml").write_text(recipe, encoding="utf-8")
    words = [tmp_path / "bundle", "--recipe", tmp_path / "recipe.toml", "--out", tmp_path / "out"]
    done = CliRunner().invoke(app, ["evaluate", *map(str, words)])
    assert done.exit_code == 0, done.output
    output = " ".join(done.output.split())
    assert "the operator Celu, which is not supported in torch" in output
    assert "It is attacked as a black box instead" in output
    assert "APGD transferred from a surrogate network" in output
    assert "is not stronger: the graph is attacked as a black box, and the check" in output
    assert "evaluate with --suite" not in output
    (page,) = (tmp_path / "out").glob("*.html")
    assert "Black box, because torch cannot run the graph" in page.read_text(encoding="utf-8")
    twin = [*words, "--suite", "quick", "--twin", tmp_path / "bundle"]
    rejected = CliRunner().invoke(app, ["evaluate", *map(str, twin)])
    assert rejected.exit_code == 1
    assert "--twin: torch cannot run the graph" in rejected.stderr


def test_wrap_names_outliers_by_more_of_their_path_where_the_names_are_equal() -> None:
    assert list(named_sources([Path("a/x"), Path("b/y")], source_at)) == ["x", "y"]
    assert list(named_sources([Path("a/x"), Path("b/x")], source_at)) == ["a-x", "b-x"]


def test_wrap_reads_labels_of_a_column_that_an_option_names(pictures: Path, tmp_path: Path) -> None:
    """Labels are in the column `kind` of a table."""
    files = sorted((pictures / "colours").rglob("*.png"))
    lines = [f"{path},{path.parent.name}" for path in files]
    table = tmp_path / "colours.csv"
    table.write_text("\n".join(["photograph,kind", *lines]), encoding="utf-8")
    exported(tmp_path / "net.onnx", batch=1)
    words = ["wrap", tmp_path / "net.onnx", "--data", table, "--out", tmp_path / "out"]

    def wrapped(*more: str) -> Result:
        return CliRunner().invoke(app, [*map(str, words), *more])

    refused = wrapped()
    assert "columns ['photograph', 'kind'], expected one of images" in refused.stderr
    assert "Name it with --image-column" in refused.stderr
    refused = wrapped("--image-column", "photograph")
    assert "no column of labels found among the columns ['photograph', 'kind']" in refused.stderr
    done = wrapped("--image-column", "photograph", "--label-column", "kind")
    assert done.exit_code == 0, done.output
    assert "180 images of 3 classes, 60 per class" in done.output
    words[3] = pictures / "colours"
    assert "--label-column is 'kind', expected none for" in wrapped("--label-column", "kind").stderr
