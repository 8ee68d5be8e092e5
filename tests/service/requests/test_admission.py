"""What is in flight is bounded in requests, bytes and images, and given back at the end."""

import pytest

from oodguard.service.errors import Overloaded
from oodguard.service.prediction.admission import Admission


def admission() -> Admission:
    return Admission(max_requests=2, max_bytes=10, max_images=5)


def test_requests_are_bounded_and_their_places_are_given_back() -> None:
    bounded = admission()
    with bounded.admitted(), bounded.admitted():
        with pytest.raises(Overloaded, match="2 requests are in flight; at most 2"):
            bounded.admitted().__enter__()
        assert bounded.requests == 2
    assert bounded.requests == 0
    with bounded.admitted():
        assert bounded.requests == 1


def test_bytes_and_images_are_bounded_over_all_requests() -> None:
    bounded = admission()
    with bounded.admitted() as first:
        first.take_bytes(7)
        first.take_images(4)
        with bounded.admitted() as second:
            second.take_bytes(3)
            second.take_images(1)
            with pytest.raises(Overloaded, match="10 bytes are in flight and 1 came; at most 10"):
                second.take_bytes(1)
            with pytest.raises(Overloaded, match="5 images are in flight and 1 came; at most 5"):
                second.take_images(1)
        # What was refused is not held; what was held is free again.
        first.take_bytes(3)
        first.take_images(1)
    with bounded.admitted() as last:
        last.take_bytes(10)
        last.take_images(5)


def test_a_request_that_fails_gives_back_what_it_held() -> None:
    bounded = admission()

    def failing() -> None:
        with bounded.admitted() as claim:
            claim.take_bytes(10)
            raise KeyError

    with pytest.raises(KeyError):
        failing()
    with bounded.admitted() as claim:
        claim.take_bytes(10)
