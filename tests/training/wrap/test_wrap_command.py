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
from oodguard.training.cli.app import app
from oodguard.training.cli.wrap_options import named_sources
from oodguard.training.data.reader import source_at
from oodguard.training.scoring.parity import onnx_run
from oodguard.training.wrap.report import WrapReport
from tests.training.recipes import RECIPE
from tests.training.wrap.classifiers import (
    CLASSES,
    SIZE,
    draw_folder,
    draw_greys,
    expected_logits,
    exported,
    hand_made,
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    draw_folder(folder / "colours")
    draw_greys(folder / "greys")
    return folder


def _wrap(classifier: Path, pictures: Path, out: Path, *more: object) -> Result:
    words = ["wrap", classifier, "--data", pictures / "colours", "--out", out, *more]
    return CliRunner().invoke(app, [str(word) for word in words])


def _report(bundle: Bundle) -> WrapReport:
    return WrapReport.model_validate(bundle.evaluation)


@pytest.fixture(scope="module")
def of_torch(pictures: Path) -> Bundle:
    """A network exported by torch with a batch size of 1, wrapped with a set of outliers."""
    exported(pictures / "net.onnx", batch=1)
    out = pictures / "of-torch"
    done = _wrap(pictures / "net.onnx", pictures, out, "--outliers", pictures / "greys")
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
    report = _report(of_torch)
    assert report.attacked == "not measured"
    assert (report.calibration_images, report.accuracy_images) == (90, 90)
    assert report.accuracy == 1
    assert set(report.scores) == set(of_torch.manifest.scores)
    # Every grey image is darker in its strongest channel than every coloured one.
    assert report.scores["energy"].sets["greys"].auroc > 0.95
    assert report.scores["energy"].sets["greys"].images == 40


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
    rejected = _wrap(path, pictures, tmp_path / "bundle")
    assert rejected.exit_code == 1
    assert "outputs are probabilities, expected logits" in rejected.stderr
    done = _wrap(path, pictures, tmp_path / "bundle", "--outputs", "probabilities")
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
    done = _wrap(tmp_path / "classifier.onnx", tmp_path / "data", tmp_path / "bundle")
    assert done.exit_code == 0, done.output
    assert set(open_bundle(tmp_path / "bundle").manifest.classes) == set(names)
    card = (tmp_path / "bundle" / "README.md").read_text(encoding="utf-8")
    assert r"| classes | &lt;script&gt;b, a\|b, new\\nline |" in card.splitlines()


def test_wrap_reads_class_names_with_a_byte_order_mark(pictures: Path, tmp_path: Path) -> None:
    onnx.save(hand_made(), tmp_path / "classifier.onnx")
    (tmp_path / "names.txt").write_text("\n".join(CLASSES), encoding="utf-8-sig")
    options = ("--classes", tmp_path / "names.txt")
    done = _wrap(tmp_path / "classifier.onnx", pictures, tmp_path / "bundle", *options)
    assert done.exit_code == 0, done.output
    assert open_bundle(tmp_path / "bundle").manifest.classes == CLASSES


def test_wrap_tries_other_class_orders_if_the_accuracy_is_low(
    pictures: Path, tmp_path: Path
) -> None:
    path = tmp_path / "classifier.onnx"
    onnx.save(hand_made(shape=("n", "h", "w", 3)), path)
    (tmp_path / "names.txt").write_text("\n".join((*CLASSES[1:], CLASSES[0])), encoding="utf-8")
    options = ("--classes", tmp_path / "names.txt", "--height", SIZE, "--width", SIZE)
    done = _wrap(path, pictures, tmp_path / "bundle", *options)
    assert done.exit_code == 0, done.output
    report = _report(open_bundle(tmp_path / "bundle"))
    assert report.accuracy == 0
    assert report.trials is not None
    assert report.trials.images == 100
    assert report.trials.order == CLASSES
    card = (tmp_path / "bundle" / "README.md").read_text(encoding="utf-8")
    for text in (" ".join(done.output.split()), " ".join(card.split())):
        assert text.count("the accuracy is 0 %, near chance (33.3 % for 3 classes)") == 1
        assert "The outputs then are, in order: blue, green, red." in text
        assert "it is 0 % as given and 100 % with classes sorted as text: wrap the" in text
        assert "--channel-order, " not in text


def test_wrap_tries_other_channel_orders_if_the_accuracy_is_low(
    pictures: Path, tmp_path: Path
) -> None:
    onnx.save(hand_made(), tmp_path / "classifier.onnx")
    wrong = ("--channel-order", "bgr", "--classes", tmp_path / "names.txt")
    (tmp_path / "names.txt").write_text("\n".join(CLASSES), encoding="utf-8")
    done = _wrap(tmp_path / "classifier.onnx", pictures, tmp_path / "bundle", *wrong)
    assert done.exit_code == 0, done.output
    report = _report(open_bundle(tmp_path / "bundle"))
    # Green images are right in either order.
    assert report.accuracy == pytest.approx(1 / 3, abs=0.1)
    assert report.trials is not None
    assert report.trials.best == ("--channel-order rgb", "as given", 1.0)
    output = " ".join(done.output.split())
    assert "The best is 100 % with --channel-order rgb." in output
    assert "and 100 % with --channel-order rgb: wrap the classifier again with the opt" in output


def test_wrap_does_not_warn_of_two_classes_below_100_percent(
    pictures: Path, tmp_path: Path
) -> None:
    model = hand_made(output=("n", 1))
    model.graph.node[2].input[1] = "blue_only"
    model.graph.initializer.append(
        onnx.numpy_helper.from_array(np.array([2], np.int64), "blue_only")
    )
    onnx.save(model, tmp_path / "classifier.onnx")
    for colour in CLASSES[:2]:
        shutil.copytree(pictures / "colours" / colour, tmp_path / "data" / "colours" / colour)
    moved = sorted((tmp_path / "data" / "colours" / "blue").iterdir())[:6]
    for path in moved:
        path.rename(tmp_path / "data" / "colours" / "green" / f"of-blue-{path.name}")
    (tmp_path / "names.txt").write_text("green\nblue\n", encoding="utf-8")
    options = ("--classes", tmp_path / "names.txt", "--mean", 0.45, "--alpha", 0.1)
    done = _wrap(tmp_path / "classifier.onnx", tmp_path / "data", tmp_path / "bundle", *options)
    assert done.exit_code == 0, done.output
    bundle = open_bundle(tmp_path / "bundle")
    assert bundle.manifest.classes == ("green", "blue")
    assert 0.7 < _report(bundle).accuracy < 1
    assert "warning" not in done.output
    assert "the single output z is used as the two logits" in _report(bundle).outputs


def test_wrap_warns_where_hardly_anything_is_rejected_and_suggests_a_score(
    pictures: Path, tmp_path: Path
) -> None:
    onnx.save(hand_made(), tmp_path / "classifier.onnx")
    shutil.copytree(pictures / "colours" / "red", tmp_path / "similar")
    outliers = ("--outliers", tmp_path / "similar", "--outliers", pictures / "greys")
    done = _wrap(tmp_path / "classifier.onnx", pictures, tmp_path / "bundle", *outliers)
    assert done.exit_code == 0, done.output
    report = _report(open_bundle(tmp_path / "bundle"))
    missed = report.scores["energy"].sets["similar"].missed_ood_rate
    assert missed > 0.9
    card = (tmp_path / "bundle" / "README.md").read_text(encoding="utf-8")
    for text in (" ".join(done.output.split()), " ".join(card.split())):
        assert "it rejects hardly any of these images" in text
        assert "Mean AUROC by score:" in text


def test_wrap_names_the_folder_if_its_name_is_invalid(pictures: Path, tmp_path: Path) -> None:
    onnx.save(hand_made(), tmp_path / "classifier.onnx")
    rejected = _wrap(tmp_path / "classifier.onnx", pictures, tmp_path / "Upper Case")
    assert rejected.exit_code == 1
    assert "--name is not given, and the name of --out is 'Upper Case', expected" in rejected.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--images", 117), "58 of the 117 images calibrate, expected at least 59 for alpha 0.05"),
        (("--images", 117), "Give at least 118 images"),
        (("--name", "Upper Case"), "--name is 'Upper Case'"),
        (("--preset", "vgg"), "--preset is 'vgg', expected one of imagenet, caffe, tf, clip"),
        (("--resize", "pad"), "--resize is 'pad', expected crop, crop:256, stretch, letterbox"),
        (("--resize", "crop:4"), "--resize crop:4: resize is 4, expected at least 8"),
        (("--resize", "letterbox:300"), "fill is '300', expected at most 255"),
        (("--features", "auto"), "--features: expected --fit SOURCE too"),
        (("--score", "knn"), "--score is knn, expected one of"),
        (("--version", "1/2"), "--version is '1/2'"),
        (("--mean", "0.5,x"), "--mean is '0.5,x', expected one number or three"),
        (("--std", "0"), "expected numbers above 0"),
        (("--score", "odin"), "--score is odin, expected one of"),
        (("--outputs", "probabilities"), "are logits, expected probabilities"),
        (("--outliers", "nowhere"), "nowhere: cannot read the data"),
        (("--outliers", "a/x", "--outliers", "a/x"), "a/x, a/x, expected no duplicates"),
        (("--alpha", "2"), "alpha is 2"),
        (("--layout", "nchw"), "does not have three channels"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_wrap_rejects_invalid_options_and_writes_nothing(
    pictures: Path, tmp_path: Path, options: tuple[object, ...], message: str
) -> None:
    onnx.save(hand_made(), tmp_path / "classifier.onnx")
    rejected = _wrap(tmp_path / "classifier.onnx", pictures, tmp_path / "bundle", *options)
    assert rejected.exit_code == 1
    assert message in rejected.stderr
    assert "Traceback" not in rejected.stderr
    assert not (tmp_path / "bundle").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("short_suite")
def test_evaluate_attacks_a_wrapped_bundle_that_torch_cannot_run_as_a_black_box(
    pictures: Path, tmp_path: Path
) -> None:
    onnx.save(hand_made(tail=("Celu",)), tmp_path / "classifier.onnx")
    done = _wrap(tmp_path / "classifier.onnx", pictures, tmp_path / "bundle")
    assert done.exit_code == 0, done.output
    recipe = (
        RECIPE.partition("[evaluation.test]")[0]
        + f"""
[evaluation]
test = {{ folder = "{pictures / "colours"}" }}
outliers = {{ greys = {{ folder = "{pictures / "greys"}" }} }}
"""
    )
    (tmp_path / "recipe.toml").write_text(recipe, encoding="utf-8")
    words = [tmp_path / "bundle", "--recipe", tmp_path / "recipe.toml", "--out", tmp_path / "out"]
    done = CliRunner().invoke(app, ["evaluate", *map(str, words)])
    assert done.exit_code == 0, done.output
    output = " ".join(done.output.split())
    assert "the operator Celu, which is not supported in torch" in output
    assert "It is attacked as a black box instead" in output
    assert "APGD transferred from a surrogate network" in output
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
    assert "Name it with image_column (--image-column)" in refused.stderr
    refused = wrapped("--image-column", "photograph")
    assert "no column of labels found among the columns ['photograph', 'kind']" in refused.stderr
    done = wrapped("--image-column", "photograph", "--label-column", "kind")
    assert done.exit_code == 0, done.output
    assert "180 images of 3 classes, 60 per class" in done.output
    words[3] = pictures / "colours"
    assert "--label-column is 'kind', expected none for" in wrapped("--label-column", "kind").stderr
