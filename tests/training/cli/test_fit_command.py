import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from oodguard.models.errors import RecipeError
from oodguard.sources.listing import Listing
from oodguard.training.cli.app import app
from oodguard.training.cli.sources import list_recipe
from oodguard.training.cli.train import calibration_warning, robustness_warning
from oodguard.training.run_folder import RunFolder
from tests.training.recipes import DATA, RECIPE, parsed, with_network
from tests.training.runs import epoch, progress, save_run


def test_missing_paths_are_listed_by_key() -> None:
    text = RECIPE.replace("/outliers", "/outlier").replace("/textures", "/texture")
    text += "more = { parquet = 'no.parquet' }\n"
    with pytest.raises(RecipeError) as caught:
        list_recipe(text)
    keys = [line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:]]
    assert keys == ["outliers", "evaluation.outliers.textures", "evaluation.outliers.more"]


def test_fit_prints_every_source_before_it_trains(capsys: pytest.CaptureFixture[str]) -> None:
    listings = list_recipe(RECIPE)
    assert list(listings) == [
        "inliers",
        "outliers",
        "evaluation.test",
        "evaluation.outliers.textures",
    ]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"inliers: {DATA}/cifar10: 200 images of 10 classes, 20 per class"
    assert lines[3] == f"evaluation.outliers.textures: {DATA}/textures: 24 images"


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        (
            RECIPE.replace("/textures", "/texture"),
            (
                "evaluation.outliers.textures: ",
                "/texture: cannot read the data: the path does not exist",
            ),
        ),
        ("name = mine", ("tiny.toml: invalid TOML: Invalid value (at line 1, column 8)",)),
    ],
)
def test_fit_reports_a_wrong_recipe_without_torch(
    tmp_path: Path, text: str, messages: tuple[str, ...]
) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(text, encoding="utf-8")
    program = (
        "import sys; sys.modules['torch'] = sys.modules['datasets'] = None;"
        f"sys.argv = ['oodguard-train', 'fit', {str(path)!r}];"
        "from oodguard.training.cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[3] / "src",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert all(message in done.stderr for message in messages)


@pytest.mark.parametrize(
    ("auroc", "warned"), [(0.505, True), (0.599, True), (0.6, False), (None, False)]
)
def test_warning_after_training_if_the_attacked_auroc_is_near_chance(
    auroc: float | None, *, warned: bool
) -> None:
    warning = robustness_warning(parsed(RECIPE), epoch(attacked_auroc=auroc))
    assert (warning is not None) == warned
    if warning:
        assert f"last epoch is {auroc:.3f}, near chance (0.5): within " in warning
        for remedy in (
            "schedule.epochs = ",
            "add inliers",
            "--from a hardened bundle",
            "attack.epsilon_255 = ",
        ):
            assert remedy in warning


@pytest.mark.parametrize(("images", "warned"), [(58, True), (59, False)])
def test_warning_before_training_if_calibration_images_are_too_few(
    images: int, *, warned: bool
) -> None:
    text = RECIPE.replace("calibration = 60", f"calibration = {images}")
    warning = calibration_warning(parsed(text))
    assert (warning is not None) == warned
    if warning is not None:
        assert "inliers.calibration is 58, expected at least 59 for alpha 0.05 with" in warning
        assert "Increase inliers.calibration" in warning


@pytest.mark.parametrize(("films", "warned"), [(98, True), (100, False)])
def test_warning_before_training_if_calibration_groups_are_too_few(
    films: int, *, warned: bool
) -> None:
    rows = np.arange(200)
    listing = Listing(
        location="films",
        classes=(),
        labels=rows,
        rows=rows,
        read=lambda _: iter(()),
        groups=rows % films,
    )
    text = RECIPE.replace("calibration = 60", "calibration = 120")
    warning = calibration_warning(parsed(text), listing)
    assert (warning is not None) == warned
    if warning is not None:
        assert "is 120, about 58 of the 98 groups, expected at least 59 for alpha 0.05" in warning


def test_fit_leaves_no_folder_if_too_many_images_are_held_out(tmp_path: Path) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE.replace("validation = 20", "validation = 141"), encoding="utf-8")
    result = CliRunner().invoke(app, ["fit", str(path), "--out", str(tmp_path / "run")])
    assert result.exit_code == 1
    assert "validation + calibration" in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("/textures", "/texture", "evaluation.outliers.textures"),
        ("epochs = 2", "epochs = -1", "schedule.epochs"),
    ],
)
def test_fit_rejects_an_invalid_recipe_and_writes_nothing(
    tmp_path: Path, old: str, new: str, key: str
) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE.replace(old, new), encoding="utf-8")
    result = CliRunner().invoke(app, ["fit", str(path), "--out", str(tmp_path / "run")])
    assert result.exit_code == 1
    assert key in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run").exists()


def test_fit_does_not_delete_what_it_did_not_write(tmp_path: Path) -> None:
    """A recipe in the folder of the run, and the tensors of a run whose progress is lost."""
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.replace("validation = 20", "validation = 141"), encoding="utf-8")
    run = save_run(tmp_path / "run", RECIPE, outputs=10)
    (tmp_path / "tiny.toml").write_text(RECIPE)
    (run.folder / "progress.json").unlink()
    (tmp_path / "mine").mkdir()
    mine = path.rename(tmp_path / "mine" / "recipe.toml")
    for words in (
        ("fit", str(mine), "--out", str(mine.parent)),
        ("fit", str(tmp_path / "tiny.toml"), "--out", str(run.folder), "--resume"),
    ):
        assert CliRunner().invoke(app, list(words)).exit_code == 1
    assert [each.name for each in mine.parent.iterdir()] == ["recipe.toml"]
    assert (run.folder / "epoch-001.safetensors").exists()


def test_recipe_without_images_of_a_class_is_rejected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table that is sorted by class, with a limit."""
    paths = sorted((DATA / "cifar10").rglob("*.png"))
    lines = [f"{path},{path.parent.name}" for path in paths]
    table = tmp_path / "sorted.csv"
    table.write_text("\n".join(["image,label", *lines]), encoding="utf-8")
    limited = f'table = "{table}"\nimages = 150'
    folder = f'folder = "{DATA / "cifar10"}"'
    with pytest.raises(RecipeError, match=r"has no image of 2 of 10 classes.*: ship, truck. A"):
        list_recipe(RECIPE.replace(folder, limited, 1))
    first, _, last = RECIPE.rpartition(folder)
    list_recipe(first + limited + last)
    assert "has no image of 2 of 10 classes, which are not measured" in capsys.readouterr().err


def test_fit_reports_an_exception_of_the_network_and_leaves_no_folder(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("def make(outputs):\n    return 1 / 0\n", encoding="utf-8")
    path = tmp_path / "tiny.toml"
    path.write_text(with_network(RECIPE, f"{tmp_path}/net.py:make"), encoding="utf-8")
    result = CliRunner().invoke(app, ["fit", str(path), "--out", str(tmp_path / "run")])
    assert result.exit_code == 1
    assert "/net.py:make' raised ZeroDivisionError: division by zero (net.py, line 2)" in (
        result.stderr
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        ("raise KeyError('scale')", r"raised KeyError: 'scale' \(net.py, line 9\)"),
        (
            "return super().features(images[:, :1])",
            r"raised RuntimeError: Given groups=1, weight of size .* \(net.py, line 9\)",
        ),
        (
            "assert not self.training, 'no training'; return super().features(images)",
            r"in training raised AssertionError: no training \(net.py, line 9\)",
        ),
        ("return super().features(images.detach())", "outputs have no gradient, expected a diff"),
    ],
    ids=["exception", "torch", "training", "gradient"],
)
def test_fit_reports_a_network_that_fails_on_images_before_it_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forward: str, message: str
) -> None:
    source = f"""from oodguard.models.networks.resnet import ResNet


class Net(ResNet):
    def __init__(self, outputs):
        super().__init__(1, outputs, 4)

    def features(self, images):
        {forward}
"""
    (tmp_path / "net.py").write_text(source, encoding="utf-8")
    path = tmp_path / "tiny.toml"
    path.write_text(with_network(RECIPE, f"{tmp_path}/net.py:Net"), encoding="utf-8")
    monkeypatch.setattr("oodguard.training.cli.train.describe_data", None)
    result = CliRunner().invoke(app, ["fit", str(path), "--out", str(tmp_path / "run")])
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert re.search(rf"net\.py:Net' on images \(2, 3, 32, 32\).*{message}", line), line
    assert not (tmp_path / "run").exists()


def test_fit_that_is_interrupted_states_how_it_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(run: RunFolder, *_: object, **__: object) -> None:
        run.save(progress(1), {})
        raise KeyboardInterrupt

    monkeypatch.setattr("oodguard.training.cli.train.run_fit", interrupted)
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE, encoding="utf-8")
    result = CliRunner().invoke(app, ["fit", str(path), "--out", str(tmp_path / "run")])
    assert result.exit_code == 130
    run = tmp_path / "run"
    continued = f"oodguard-train fit {run}/recipe.toml --out {run} --resume"
    assert f"interrupted after 1 epoch. Continue with {continued}" in result.stderr
