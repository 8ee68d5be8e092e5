from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from oodguard.models.errors import ClassifierError
from oodguard.sources.listing import Encoded, Listing
from oodguard.training.wrap.data_checks import check_fit_classes

CLASSES = ("cat", "dog", "eel", "fox")


def _no_pictures(_: NDArray[np.int64]) -> Iterator[tuple[str, Encoded]]:
    return iter(())


def listing(name: str, counts: dict[str, int]) -> Listing:
    labels = np.repeat(np.arange(len(counts)), list(counts.values()))
    return Listing(
        location=name,
        classes=tuple(counts),
        labels=labels,
        rows=np.arange(len(labels)),
        read=_no_pictures,
    )


def test_wrap_fit_without_a_class_of_the_data_is_refused() -> None:
    data = listing("held-out", {"cat": 2, "dog": 2, "eel": 2})
    # The table has the class, and no row of it.
    fit = listing("training", {"cat": 5, "dog": 0})
    with pytest.raises(ClassifierError) as error:
        check_fit_classes(CLASSES, data, fit)
    message = "--fit training: no image of 2 of the 3 classes of --data: dog, eel. Expected images"
    assert message in str(error.value)


def test_wrap_fit_without_classes_that_the_data_lack_too_is_a_warning() -> None:
    fit = listing("training", {"dog": 1, "cat": 1})
    warning = check_fit_classes(CLASSES, listing("held-out", {"cat": 2}), fit)
    assert warning is not None
    assert "training has no image of 2 of the 4 classes: eel, fox. The scores maha" in warning
    assert "knn and vim will probably reject images of these classes" in warning


def test_wrap_fit_with_all_classes_has_no_warning() -> None:
    fit = listing("training", dict.fromkeys(CLASSES, 1))
    assert check_fit_classes(CLASSES, fit, fit) is None
    assert check_fit_classes(None, fit, fit) is None
    # Numbers in place of names are positions.
    numbered = listing("numbers", {"0": 1, "1": 1, "2": 1, "3": 1})
    assert check_fit_classes(CLASSES, fit, numbered) is None


@pytest.mark.parametrize("option", ["--data", "--fit"])
def test_wrap_fit_without_labels_names_the_option(option: str) -> None:
    listings = {each: listing("photos", {"cat": 1}) for each in ("--data", "--fit")}
    listings[option] = listing("photos", {})
    with pytest.raises(ClassifierError, match=f"{option} photos: found no classes"):
        check_fit_classes(None, listings["--data"], listings["--fit"])
