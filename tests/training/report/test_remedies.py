import pytest

from oodguard.training.report.class_results import ClassResult
from oodguard.training.report.classes import classes_table
from oodguard.training.report.model import Report
from oodguard.training.report.remedies import remedies
from tests.training.report.example import REPORT

CLASSES = (
    ClassResult(name="cat", images=10, correct=5, rejected=1, confused={"dog": 4, "car": 1}),
    ClassResult(name="dog", images=10, correct=9, rejected=0, confused={"cat": 1}),
    ClassResult(name="c|r", images=0, correct=0, rejected=0, confused={}),
)
HARDENED = """[network]
name = "resnet8"
[attack]
epsilon_255 = 2
[schedule]
epochs = 10
"""


def _report(**update: object) -> Report:
    return REPORT.model_copy(update={"recipe": HARDENED, "classes": CLASSES, **update})


def test_classes_table_lists_the_lowest_accuracy_first() -> None:
    assert classes_table(_report()).splitlines()[2:] == [
        "| cat | 10 | 50 % | 10 % | dog 4, car 1 |",
        "| dog | 10 | 90 % | 0 % | cat 1 |",
    ]
    assert classes_table(REPORT) == ""


@pytest.mark.parametrize(
    ("training", "sentence"),
    [
        (0.5, "only 50 %: the network has not learned them. Train longer (schedule.epochs = 20)"),
        (1.0, "the network memorizes the training images. Add images, set inliers.distort = 0.5"),
        (None, "Add images of the classes with the lowest accuracy"),
    ],
)
def test_remedies_for_a_low_accuracy_depend_on_the_training_accuracy(
    training: float | None, sentence: str
) -> None:
    first, pair, epsilon = remedies(_report(accuracy=0.7, training_accuracy=training))
    assert sentence in first
    assert "network.weights" in first
    assert pair.startswith("'cat' is predicted as 'dog' in 4 of 6 errors.")
    assert "at 2/255" in epsilon


def test_remedies_state_that_epsilon_is_too_large() -> None:
    # The mean AUROC of the example at 2/255 is (.25 + .5) / 2.
    (only,) = remedies(_report(accuracy=0.95))
    assert "reduces the mean AUROC to 0.375: this epsilon is too large" in only
    assert "Set attack.epsilon_255 = 1, set attack.ramp = 0.3, or use" in only


@pytest.mark.parametrize(
    "update", [{"recipe": REPORT.recipe}, {"method": "wrapped"}, {"finished_epochs": 8}]
)
def test_remedies_are_empty_without_a_recipe_of_training(update: dict[str, object]) -> None:
    assert remedies(_report(accuracy=0.1, **update)) == ()


def test_remedies_call_training_images_attacked_only_where_they_were() -> None:
    plain = HARDENED.replace("[attack]\nepsilon_255 = 2\n", "")
    first = {
        text: next(iter(remedies(_report(accuracy=0.7, training_accuracy=0.5, recipe=text))))
        for text in (HARDENED, plain)
    }
    assert "training images, as they were attacked, is only 50 %" in first[HARDENED]
    assert "training images is only 50 %" in first[plain]
