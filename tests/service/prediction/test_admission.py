"""Admission: limits on requests, bytes and images in flight, in total and per client."""

import pytest

from oodguard.service.errors import Overloaded
from oodguard.service.prediction.admission import Admission, Claim, Unit


def make_admission(requests: int = 2, size: int = 10, images: int = 5) -> Admission:
    return Admission(max_requests=requests, max_bytes=size, max_images=images)


def held_at_most(admission: Admission, client: str, unit: Unit = "requests") -> int:
    """Claim one more of a unit until it is refused, and never release it; return the number."""
    count = 0
    while True:
        claim = Claim(admission, client).__enter__()
        try:
            claim.add(unit, 1)
        except Overloaded:
            claim.__exit__()
            return count
        count += 1


def test_admission_limits_concurrent_requests() -> None:
    admission = make_admission(requests=2)
    with Claim(admission, "a") as first, Claim(admission, "b") as second:
        # A request is admitted when its body is complete, and holds no place before.
        assert admission.requests == 0
        first.add("requests", 1)
        second.add("requests", 1)
        message = "2 requests are in flight and 1 more were received, at most 2"
        with Claim(admission, "c") as third, pytest.raises(Overloaded, match=message):
            third.add("requests", 1)
        with pytest.raises(Overloaded, match=message):
            admission.require_request("c")
        assert admission.requests == 2
    assert admission.requests == 0
    admission.require_request("c")


def test_admission_limits_bytes_and_images_of_all_requests() -> None:
    admission = make_admission(size=10, images=5)
    with Claim(admission, "a") as first:
        first.add("bytes", 7)
        first.add("images", 4)
        with Claim(admission, "b") as second:
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
    with Claim(admission, "a") as last:
        last.add("bytes", 10)
        last.add("images", 5)


@pytest.mark.parametrize("unit", ["requests", "bytes", "images"])
def test_admission_leaves_a_fifth_of_each_limit_to_other_clients(unit: Unit) -> None:
    admission = make_admission(80, 80, 80)
    # 64 = 80 * 4 / 5; of the other 16, the second client may hold 12, of the last 4 the third 3.
    assert [held_at_most(admission, client, unit) for client in "abcd"] == [64, 12, 3, 1]
    with Claim(admission, "e") as claim, pytest.raises(Overloaded, match="at most 80 are allowed"):
        claim.add(unit, 1)


def test_admission_divides_a_limit_equally_between_clients_that_need_all_of_it() -> None:
    admission = make_admission(requests=90)
    open_claims: dict[str, list[Claim]] = {"a": [], "b": []}

    def take(client: str) -> bool:
        claim = Claim(admission, client).__enter__()
        try:
            claim.add("requests", 1)
        except Overloaded:
            claim.__exit__()
            return False
        open_claims[client].append(claim)
        return True

    while take("a"):
        pass
    for _ in range(200):
        # One request of each client ends, and each client sends as many as it may.
        for claims in open_claims.values():
            if claims:
                claims.pop().__exit__()
        while take("b"):
            pass
        while take("a"):
            pass
    # 4/9 each: 40 = 4/5 * (90 - 40).
    assert {client: len(claims) for client, claims in open_claims.items()} == {"a": 40, "b": 40}


def test_admission_names_the_share_of_the_client() -> None:
    admission = make_admission(requests=10)
    assert held_at_most(admission, "a") == 8
    message = "8 requests of this client are in flight and 1 more were received, at most 8 are"
    with pytest.raises(Overloaded, match=message):
        admission.require_request("a")
    admission.require_request("b")


def test_admission_lets_one_request_use_a_whole_limit() -> None:
    admission = make_admission(requests=1, size=10, images=5)
    with Claim(admission, "a") as claim, Claim(admission, "a"):
        claim.add("requests", 1)
        claim.add("bytes", 6)
        claim.add("bytes", 4)
        claim.add("images", 5)


@pytest.mark.parametrize(("limit", "first"), [(1, 1), (2, 1), (5, 4), (80, 64)])
def test_admission_may_be_full_from_the_first_possible_rejection(limit: int, first: int) -> None:
    admission = make_admission(requests=limit)
    for number in range(limit):
        assert admission.may_be_full() == (number >= first)
        if not admission.may_be_full():
            admission.require_request("a")
        claim = Claim(admission, "a" if number < first else str(number)).__enter__()
        claim.add("requests", 1)
    with pytest.raises(Overloaded):
        admission.require_request("a")


def test_admission_releases_the_claim_of_a_failed_request() -> None:
    admission = make_admission()

    def fail() -> None:
        with Claim(admission, "a") as claim:
            claim.add("bytes", 10)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with Claim(admission, "a") as claim:
        claim.add("bytes", 10)


def test_admission_ignores_what_is_claimed_after_the_request_has_ended() -> None:
    admission = make_admission(images=5)
    with Claim(admission, "a") as claim:
        pass
    # A decode thread begins the job of a request whose deadline has passed.
    claim.add("images", 5)
    assert claim.images == 5
    with Claim(admission, "a") as later:
        later.add("images", 5)


def test_admission_checks_without_adding() -> None:
    admission = make_admission(images=5)
    with Claim(admission, "a") as claim:
        for _ in range(2):
            claim.require("images", 5)
        claim.add("images", 3)
        with pytest.raises(Overloaded, match="3 images are in flight and 3 more were received"):
            claim.require("images", 3)
        assert claim.images == 3
