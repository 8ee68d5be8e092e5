"""Admission: limits on requests, bytes and images in flight, which are released at the end."""

import pytest

from oodguard.service.errors import Overloaded
from oodguard.service.prediction.admission import Admission, Claim


@pytest.fixture
def admission() -> Admission:
    return Admission(max_requests=2, max_bytes=10, max_images=5)


def test_admission_limits_concurrent_requests(admission: Admission) -> None:
    with Claim(admission), Claim(admission):
        assert admission.full
        with pytest.raises(
            Overloaded, match="2 requests are in flight and 1 more were received, at most 2"
        ):
            Claim(admission).__enter__()
        assert admission.requests == 2
    assert admission.requests == 0
    with Claim(admission):
        assert admission.requests == 1


def test_admission_limits_bytes_and_images_of_all_requests(admission: Admission) -> None:
    with Claim(admission) as first:
        first.add("bytes", 7)
        first.add("images", 4)
        with Claim(admission) as second:
            second.add("bytes", 3)
            second.add("images", 1)
            with pytest.raises(
                Overloaded, match="10 bytes are in flight and 1 more were received, at most 10"
            ):
                second.add("bytes", 1)
            with pytest.raises(
                Overloaded, match="5 images are in flight and 1 more were received, at most 5"
            ):
                second.add("images", 1)
        # The rejected counts are not added, and the claim of the second request is released.
        first.add("bytes", 3)
        first.add("images", 1)
    with Claim(admission) as last:
        last.add("bytes", 10)
        last.add("images", 5)


def test_admission_releases_the_claim_of_a_failed_request(admission: Admission) -> None:
    def fail() -> None:
        with Claim(admission) as claim:
            claim.add("bytes", 10)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with Claim(admission) as claim:
        claim.add("bytes", 10)
