"""Each key has a limit a minute, and nobody else can use it up."""

from collections.abc import Callable
from pathlib import Path

import pytest
import throttled.utils
from starlette.testclient import TestClient

from oodguard.service.auth import rate_limit as rates
from oodguard.service.auth.keys import Key, KeyHash, new_token
from oodguard.service.auth.rate_limit import RateLimiter
from oodguard.service.errors import RateLimited
from tests.service.checks import problem
from tests.service.security.holders import Holder, bearer, text_of


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(throttled.utils, "now_mono_f", clock)
    return clock


def key(key_id: str, requests_per_minute: int | None = None) -> Key:
    return Key(
        id=key_id,
        roles=frozenset({"predict"}),
        stored=KeyHash.of("secret"),
        requests_per_minute=requests_per_minute,
    )


def refused(limits: RateLimiter, who: Key) -> int:
    """In how many seconds a refused key may ask again."""
    with pytest.raises(RateLimited) as limited:
        limits.require(who)
    return limited.value.retry_after_s


def test_a_minute_s_worth_at_once_and_then_an_even_rate(clock: Clock) -> None:
    limits, who = RateLimiter(None), key("a", requests_per_minute=4)
    for _ in range(4):
        limits.require(who)
    # One every 15 seconds.
    assert refused(limits, who) == 15
    clock.now_s += 14.25
    assert refused(limits, who) == 1
    clock.now_s += 0.75
    limits.require(who)
    assert refused(limits, who) == 15
    # Refusals were not counted: after a minute of silence all four are there again.
    clock.now_s += 60
    for _ in range(4):
        limits.require(who)
    assert refused(limits, who) == 15


def test_a_limit_of_its_own_comes_before_the_common_one_and_keys_count_apart(
    clock: Clock,
) -> None:
    limits = RateLimiter(2)
    for _ in range(2):
        limits.require(key("a"))
        limits.require(key("b"))
    assert refused(limits, key("a")) == 30
    for _ in range(3):
        limits.require(key("c", requests_per_minute=3))
    assert refused(limits, key("c", requests_per_minute=3)) == 20
    assert clock.now_s == 1000


def test_without_a_limit_there_is_none() -> None:
    limits = RateLimiter(None)
    for _ in range(1000):
        limits.require(key("a"))


def test_no_more_keys_are_remembered_than_there_may_be(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setattr(rates, "MOST_KEYS", 3)
    limits = RateLimiter(1)
    for each in ("a", "b", "c", "d"):
        limits.require(key(each))
    # "a" had to go for "d", "c" had not.
    assert refused(limits, key("c")) == 60
    limits.require(key("a"))
    assert clock.now_s == 1000


@pytest.fixture
def shop(keys_file: Path, holders: dict[str, Holder]) -> Holder:
    shop = Holder.with_roles("predict", key_id="shop", requests_per_minute=2)
    keys_file.write_text(text_of(shop, *holders.values()))
    return shop


@pytest.mark.usefixtures("clock")
def test_beyond_its_limit_a_key_gets_429_and_is_told_when_to_come_again(
    shop: Holder, make_guarded: Callable[..., TestClient], holders: dict[str, Holder]
) -> None:
    client = make_guarded()
    for _ in range(2):
        assert client.get("/models", headers=shop.headers).status_code == 200
    response = client.get("/models", headers=shop.headers)
    assert (
        problem(response, 429, "rate-limited").detail == "key shop asked more than 2 times a minute"
    )
    assert response.headers["retry-after"] == "30"
    assert client.get("/models", headers=holders["predict"].headers).status_code == 200
    assert client.get("/healthz", headers=shop.headers).status_code == 200
    text = client.get("/metrics", headers=holders["metrics"].headers).text
    assert 'oodguard_denied_total{reason="rate"} 1.0' in text


@pytest.mark.usefixtures("clock")
def test_wrong_keys_do_not_use_up_the_limit_of_whose_id_they_bear(
    shop: Holder, make_guarded: Callable[..., TestClient]
) -> None:
    client = make_guarded()
    for _ in range(5):
        problem(client.get("/models", headers=bearer(new_token("shop"))), 401, "key-unknown")
    for _ in range(2):
        assert client.get("/models", headers=shop.headers).status_code == 200


@pytest.mark.usefixtures("clock")
def test_the_setting_limits_keys_that_have_none_of_their_own(
    make_guarded: Callable[..., TestClient], holders: dict[str, Holder]
) -> None:
    client = make_guarded(requests_per_minute=1)
    headers = holders["predict"].headers
    assert client.get("/models", headers=headers).status_code == 200
    # Where it may not go counts as well.
    assert client.get("/models", headers=headers).status_code == 429
    assert client.get("/metrics", headers=headers).status_code == 429
