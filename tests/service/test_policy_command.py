"""`oodguard policy` prints what policies reject and miss, as far as the bundle knows it."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from typer.testing import CliRunner

from oodguard.models.bundle import open_bundle, write_bundle
from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.manifest import Description
from oodguard.service.cli import app
from tests.conftest import rows_bundle

N = 400
SCORES = np.arange(1, N + 1, dtype=np.float32)


def evaluation(*, with_scores: bool) -> dict[str, object]:
    """Return an evaluation at the threshold 381 of alpha 5 % without delta."""
    clean: dict[str, object] = {
        "epsilon_255": 0.0,
        "inliers": {"decisions": {"rejected": 0.25}},
        "sets": {"hands": {"missed_ood_rate": 0.5}},
    }
    if with_scores:
        clean["scores"] = {"inliers": [1.0, 2.0, 3.0, 390.0], "sets": {"hands": [100.0, 500.0]}}
    return {"results": [{"score": "msp", "threshold": 381.0, "conditions": [clean]}]}


Make: TypeAlias = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(
        *,
        with_scores: bool = True,
        evaluated: dict[str, Any] | None = None,
        images_per_group: int | None = None,
    ) -> Path:
        groups = None
        if images_per_group is not None:
            groups = (np.arange(N) // images_per_group).astype(np.int32)
        rows = CalibrationRows(
            scores={"msp": SCORES},
            groups=groups,
            predicted=(np.arange(N) % 2).astype(np.int32),
            attacked={2: SCORES + 40},
        )
        plain = rows_bundle(tmp_path / "plain", rows)
        folder = tmp_path / "bundle"
        write_bundle(
            folder,
            description=Description.model_validate(plain.manifest.model_dump(exclude={"files"})),
            model=plain.model,
            calibration=rows,
            evaluation=evaluated or evaluation(with_scores=with_scores),
            card="# tiny\n",
        )
        return folder

    return made


def oodguard(*words: object) -> str:
    result = CliRunner().invoke(app, [str(each) for each in words])
    assert result.exit_code == 0, result.output
    return result.output


def test_policy_show_prints_the_shares_for_each_alpha(make: Make, tmp_path: Path) -> None:
    plot = tmp_path / "plot.svg"
    found = json.loads(
        oodguard("policy", "show", make(), "--delta", "none", "--json", "--plot", plot)
    )
    by_alpha = {each["policy"]["alpha"]: each for each in found}
    # floor(0.001 * 401) = 0 is too few; floor(0.05 * 401) = 20 is the score 381.
    assert list(by_alpha) == [0.005, 0.01, 0.02, 0.05, 0.1, 0.2]
    five = by_alpha[0.05]
    assert (five["threshold"], five["rejected"]) == (381, 19 / 400)
    assert five["rejected_attacked"] == {"2": 59 / 400}
    assert five["evaluation"] == [{"budget": 0.0, "rejected": 0.25, "missed": {"hands": 0.5}}]
    # floor(0.01 * 401) = 4: 397 is above the highest test image.
    assert by_alpha[0.01]["evaluation"][0]["rejected"] == 0
    names = re.findall(r"<text [^>]*>([^<]*)</text>", plot.read_text(encoding="utf-8"))
    assert "rejected: 400 of calibration, APGD, 20 steps at 2/255" in names
    assert "missed: outliers, clean" in names


def test_policy_show_has_the_outliers_that_wrap_measured_at_its_threshold(make: Make) -> None:
    measured = {"images": 9, "auroc": 0.5, "missed_ood_rate": 0.75}
    figures = {"threshold": 381.0, "false_rejection_rate": 0.125, "sets": {"places": measured}}
    folder = make(evaluated={"kind": "wrapped", "scores": {"msp": figures}})
    found = json.loads(oodguard("policy", "show", folder, "--delta", "none", "--json"))
    by_alpha = {each["policy"]["alpha"]: each for each in found}
    assert by_alpha[0.05]["evaluation"] == [
        {"budget": 0, "rejected": 0.125, "missed": {"places": 0.75}}
    ]
    assert by_alpha[0.1]["evaluation"] == []
    assert "none were measured with msp at this threshold" in " ".join(by_alpha[0.1]["unknown"])


def test_policy_show_without_scores_of_the_evaluation_knows_its_threshold_only(
    make: Make,
) -> None:
    text = oodguard("policy", "show", make(with_scores=False), "--delta", "none")
    (row,) = [line for line in text.splitlines() if "missed: outliers, clean" in line]
    assert [cell.strip() for cell in row.strip("│").split("│")][1:] == ["", "", "", "50 %", "", ""]
    assert "Left out, because they need more calibration images: alpha 0.001, 0.002." in text
    assert "Not known at alpha 0.005, 0.01, 0.02, 0.1, 0.2: the images of the evaluation:" in text


def test_policy_try_prints_the_classes_and_the_cost_of_a_policy_under_attack(
    make: Make,
) -> None:
    bundle = make()
    text = oodguard("policy", "try", bundle, "--under-attack", 2, "--delta", "none")
    assert "msp, alpha 0.05, delta none, under attack at 2/255; threshold 421\n" in text
    # The threshold 421 rejects no clean image, and 19 of the attacked ones.
    assert "4.75 %" in text
    assert "missed: hands, clean" in text
    by_class = oodguard("policy", "try", bundle, "--by-class")
    assert "Not known: attacked images and those of the evaluation: their predicted" in by_class
    assert "msp, alpha 0.05, delta 0.05, by class; threshold by class" in by_class
    assert "7 of" not in by_class
    assert "Limitation: 1 of 3 classes has too few calibration images" in by_class


def test_policy_show_states_for_each_alpha_which_classes_have_too_few_images(make: Make) -> None:
    text = oodguard("policy", "show", make(), "--by-class")
    # 200 images of two classes, none of the third: 2 % requires 149, 1 % 299.
    required = re.findall(
        r"Limitation at alpha (\S+): (\d) of 3 classes .* at least (\d+) of each", text
    )
    assert required == [
        *(("0.01", "3", "299"), ("0.02", "1", "149"), ("0.05", "1", "59")),
        *(("0.1", "1", "29"), ("0.2", "1", "14")),
    ]
    assert text.count("Not known: attacked images and those of the evaluation") == 1


def test_policy_states_the_number_of_groups_that_is_missing(make: Make) -> None:
    bundle = make(images_per_group=4)
    text = oodguard("policy", "show", bundle)
    assert "need more calibration groups: alpha 0.001, 0.002, 0.005, 0.01, 0.02." in text
    result = CliRunner().invoke(app, ["policy", "try", str(bundle), "--alpha", "0.02"])
    assert "100 calibration groups are too few for alpha 0.02 with delta 0.05" in result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--under-attack", "4"], "under_attack is 4, expected one of the budgets at which"),
        (["--beta", "0.1"], "beta is 0.1, but the bundle has no labels"),
        (["--alpha", "1.5"], "alpha is 1.5, expected a value above 0 and below 1"),
        (["--alpha", "none"], "alpha is none and beta is none"),
        (["--alpha", "x"], "--alpha is 'x', expected a number or none"),
        (["--alpha", "0.001"], "400 calibration images are too few for alpha 0.001"),
        (["--score", "knn"], "the score is 'knn', expected one of msp"),
    ],
)
def test_policy_try_refuses_a_policy_that_the_bundle_cannot_keep(
    make: Make,
    words: list[str],
    message: str,
) -> None:
    result = CliRunner().invoke(app, ["policy", "try", str(make()), *words])
    assert result.exit_code != 0
    assert message in " ".join(result.output.split())


@pytest.mark.parametrize(
    "results",
    [
        "x",
        None,
        [1],
        [{}],
        [{"score": "msp", "threshold": "x", "conditions": "y"}],
        [{"score": "msp", "threshold": 1, "conditions": [{"scores": {"inliers": ["a"]}}]}],
        [
            {
                "score": "msp",
                "threshold": 1,
                "conditions": [{"scores": {"inliers": [1], "sets": {}}}],
            }
        ],
    ],
)
def test_policy_show_names_an_evaluation_of_another_form(make: Make, results: object) -> None:
    found = oodguard("policy", "show", make(evaluated={"results": results}))
    assert "Not known: the images of the evaluation: evaluation.json has another form" in found


@pytest.mark.parametrize(
    ("name", "exit_code", "message"),
    [
        ("plot.svg", 1, "is in the folder of a bundle, expected another"),
        ("manifest.json", 2, "manifest.json, expected a file that ends in .svg"),
    ],
)
def test_policy_show_does_not_write_its_plot_into_a_bundle_or_as_another_format(
    make: Make, name: str, exit_code: int, message: str
) -> None:
    folder = make()
    result = CliRunner().invoke(app, ["policy", "show", str(folder), "--plot", str(folder / name)])
    assert result.exit_code == exit_code
    assert message in result.stderr
    assert open_bundle(folder).manifest.name == "tiny"
