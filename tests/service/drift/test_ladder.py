import numpy as np

from oodguard.service.drift.ranks import ladder, slots


def test_a_score_stands_between_the_calibration_scores_around_it() -> None:
    calibration = np.array([-1.0, 0.0, 2.5], dtype=np.float32)
    scores = np.array([-5.0, -0.5, 2.0, 3.0], dtype=np.float32)
    found = slots(ladder(calibration, np.full(3, 0.5)), scores, np.full(4, 0.5))
    assert found.tolist() == [0, 1, 2, 3]


def test_equal_scores_are_ordered_by_their_keys() -> None:
    # The rungs: (1, .5), (2, .2), (2, .4), (2, .9), (3, .5); the keys of equal ones come unordered.
    rungs = ladder(np.array([1.0, 2, 2, 2, 3]), np.array([0.5, 0.9, 0.2, 0.4, 0.5]))
    found = slots(rungs, np.full(4, 2.0), np.array([0.1, 0.3, 0.5, 0.95]))
    assert found.tolist() == [1, 2, 3, 4]


def test_a_score_that_is_no_number_is_the_most_out_of_distribution() -> None:
    rungs = ladder(np.array([1.0, 2.0]), np.zeros(2))
    found = slots(rungs, np.array([np.nan, np.inf, -np.inf]), np.array([0.0, 0.9, 0.9]))
    assert found.tolist() == [2, 2, 0]


def test_a_float32_score_equals_the_calibration_score_that_it_was_saved_as() -> None:
    tenth = np.array([0.1], dtype=np.float32)
    rungs = ladder(tenth, np.array([0.5]))
    assert slots(rungs, tenth, np.array([0.4])).tolist() == [0]
    assert slots(rungs, tenth, np.array([0.6])).tolist() == [1]
