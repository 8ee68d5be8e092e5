import numpy as np
import pytest
from numpy.typing import NDArray

from oodguard.training.wrap.input import Normalization, PixelTransform
from oodguard.training.wrap.trials import (
    BEST_ORDER,
    GIVEN,
    TEXT_ORDER,
    Trials,
    images_to_try,
    run_trials,
)

CLASSES = tuple(str(number) for number in range(12))
LABELS = np.arange(96) % 12
TRANSFORM = PixelTransform(layout="nchw", height=8, width=8)


def trials(found: dict[Normalization, NDArray[np.int64]]) -> Trials:
    """Run the trials of a classifier that guesses class 0 except for some preprocessings."""

    def predict(transform: PixelTransform, count: int) -> NDArray[np.int64]:
        return found.get(transform.normalization, np.zeros(96, np.int64))[:count]

    return run_trials(predict, TRANSFORM, LABELS, CLASSES)


def test_trials_find_classes_whose_outputs_are_sorted_as_text() -> None:
    as_text = sorted(CLASSES)
    outputs = np.array([as_text.index(name) for name in CLASSES])
    found = trials({Normalization(): outputs[LABELS]})
    assert found.tried[0].accuracies[TEXT_ORDER] == 1
    # 0 and 1 have the same position in both orders.
    assert found.tried[0].accuracies[GIVEN] == pytest.approx(2 / 12)
    assert found.best[1:] == (TEXT_ORDER, 1.0)
    assert found.is_improved
    assert found.order == ("0", "1", "10", "11", "2", "3", "4", "5", "6", "7", "8", "9")


def test_trials_find_any_order_of_classes() -> None:
    outputs = np.roll(np.arange(12), 5)
    found = trials({Normalization(): outputs[LABELS]})
    assert found.best[1:] == (BEST_ORDER, 1.0)
    # Output 0 is the class whose images predict it, and so on.
    assert found.order == tuple(CLASSES[each] for each in np.argsort(outputs))


def test_trials_find_the_preprocessing() -> None:
    found = trials({Normalization(scale=1.0, channel_order="bgr"): LABELS})
    assert found.best == ("--scale 1 --channel-order bgr", GIVEN, 1.0)
    assert found.order == ()


def test_trials_of_random_predictions_find_no_order() -> None:
    # Of 100 images of 50 classes, an order that fits all predictions would always exist.
    generator = np.random.default_rng(0)
    labels = np.arange(100) % 50
    guesses = generator.integers(0, 50, 100)
    classes = tuple(f"class {number}" for number in range(50))
    found = run_trials(lambda _, count: guesses[:count], TRANSFORM, labels, classes)
    assert not found.is_improved
    assert found.tried[0].accuracies[BEST_ORDER] < 0.15


def test_trials_of_integers_and_grey_images_have_no_other_scale_or_channels() -> None:
    unchanged = Normalization(scale=1)
    integers = PixelTransform(
        layout="nchw", height=8, width=8, normalization=unchanged, pixel_type="uint8"
    )
    found = run_trials(lambda _, count: LABELS[:count], integers, LABELS, CLASSES)
    assert [each.options for each in found.tried] == [GIVEN, "--channel-order bgr"]
    grey = PixelTransform(layout="nchw", height=8, width=8, channels=1)
    found = run_trials(lambda _, count: LABELS[:count], grey, LABELS, CLASSES)
    options = [each.options for each in found.tried]
    assert options == [GIVEN, "--scale 1 --channel-order rgb", "--preset tf --channel-order rgb"]


def test_trials_try_the_classes_in_turn() -> None:
    labels = np.array([0, 0, 0, 2, 1, 0, 2])
    assert images_to_try(labels).tolist() == [0, 3, 4, 1, 6, 2, 5]
    assert len(images_to_try(np.zeros(300, np.int64))) == 100


def test_trials_of_a_slow_classifier_use_fewer_images_and_stop() -> None:
    found = run_trials(lambda _, count: LABELS[:count], TRANSFORM, LABELS, CLASSES, limit_s=0)
    assert (found.images, len(found.tried), found.untried) == (20, 1, 11)


def test_trials_name_classes_whose_position_is_not_known() -> None:
    outputs = np.roll(np.arange(12), 5)
    labels = LABELS[LABELS != 3]

    def predict(_: PixelTransform, count: int) -> NDArray[np.int64]:
        return np.asarray(outputs[labels][:count])

    found = run_trials(predict, TRANSFORM, labels, CLASSES)
    assert found.best_change == "classes in the best order"
    assert found.unplaced == ("3",)
