import math

import numpy as np
import pytest

from benchmarks.serving.load.tally import Tally


def tally(**said: object) -> Tally:
    return Tally(**{"elapsed_s": 2.0, "answers": {200: 6, 429: 3, 500: 1}, **said})  # type: ignore[arg-type]


def test_what_failed_is_all_that_was_sent_but_what_was_answered_with_200_or_left() -> None:
    counted = tally(broken=2, unread=4, refused=8)
    assert counted.sent == 10 + 2 + 4
    assert counted.failed == 3 + 1 + 2
    assert counted.goodput == 3


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.99, 1.0])
def test_a_percentile_is_a_latency_that_was_measured(share: float) -> None:
    latencies = np.random.default_rng(0).exponential(size=137)
    counted = tally(latencies_s={429: latencies.tolist()})
    expected = np.quantile(latencies, share, method="inverted_cdf") * 1000
    assert counted.latency_ms(429, share) == pytest.approx(expected, rel=1e-12)


def test_there_is_no_percentile_of_nothing() -> None:
    assert math.isnan(tally().latency_ms(504, 0.99))
