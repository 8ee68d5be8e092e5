"""Rate limits of API keys."""

from pathlib import Path

import pytest
import throttled.utils

from oodguard.service.auth import rate_limit
from oodguard.service.auth.keys import Key, hash_key, new_token
from oodguard.service.auth.rate_limit import RateLimiter
from oodguard.service.errors import RateLimited
from tests.service.api_keys import IssuedKey, bearer, write_key_file
from tests.service.checks import problem
from tests.service.conftest import Issued, MakeClient


class Clock:
    """A clock that only tests advance."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(throttled.utils, "now_mono_f", clock)
    return clock


def make_key(key_id: str, requests_per_minute: int | None = None) -> Key:
    return Key(
        id=key_id,
        roles=["predict"],
        hash=hash_key("secret"),
        requests_per_minute=requests_per_minute,
    )


def retry_after_s(limiter: RateLimiter, key: Key) -> int:
    """Return after how many seconds a rejected key may send a request."""
    with pytest.raises(RateLimited) as limited:
        limiter.require(key)
    return limited.value.retry_after_s


def test_rate_limit_allows_a_burst_of_a_minute_and_then_an_even_rate(clock: Clock) -> None:
    limiter, key = RateLimiter(None), make_key("a", requests_per_minute=4)
    for _ in range(4):
        limiter.require(key)
    # One every 15 seconds.
    assert retry_after_s(limiter, key) == 15
    clock.now_s += 14.25
    assert retry_after_s(limiter, key) == 1
    clock.now_s += 0.75
    limiter.require(key)
    assert retry_after_s(limiter, key) == 15
    # Rejected requests are not counted: after a minute without requests, four are allowed.
    clock.now_s += 60
    for _ in range(4):
        limiter.require(key)
    assert retry_after_s(limiter, key) == 15


def test_rate_limit_of_a_key_overrides_the_default_and_keys_are_independent(clock: Clock) -> None:
    limiter = RateLimiter(2)
    for _ in range(2):
        limiter.require(make_key("a"))
        limiter.require(make_key("b"))
    assert retry_after_s(limiter, make_key("a")) == 30
    for _ in range(3):
        limiter.require(make_key("c", requests_per_minute=3))
    assert retry_after_s(limiter, make_key("c", requests_per_minute=3)) == 20
    assert clock.now_s == 1000


def test_rate_limiter_state_is_bounded_by_the_number_of_keys(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setattr(rate_limit, "MAX_KEYS", 3)
    limiter = RateLimiter(1)
    for each in ("a", "b", "c", "d"):
        limiter.require(make_key(each))
    # "d" replaced "a", and not "c".
    assert retry_after_s(limiter, make_key("c")) == 60
    limiter.require(make_key("a"))
    assert clock.now_s == 1000


@pytest.fixture
def shop(key_file: Path, issued: Issued) -> IssuedKey:
    shop = IssuedKey.create("predict", key_id="shop", requests_per_minute=2)
    write_key_file(key_file, shop, *issued.values())
    return shop


@pytest.mark.usefixtures("clock")
def test_returns_429_with_retry_after_when_a_key_exceeds_its_limit(
    shop: IssuedKey, make_secured: MakeClient, issued: Issued
) -> None:
    client = make_secured()
    for _ in range(2):
        assert client.get("/models", headers=shop.headers).status_code == 200
    response = client.get("/models", headers=shop.headers)
    detail = problem(response, 429, "rate-limited").detail
    assert detail == "key shop exceeded its limit of 2 requests per minute"
    assert response.headers["retry-after"] == "30"
    assert client.get("/models", headers=issued["predict"].headers).status_code == 200
    assert client.get("/healthz", headers=shop.headers).status_code == 200
    text = client.get("/metrics", headers=issued["metrics"].headers).text
    assert 'oodguard_denied_total{reason="rate"} 1.0' in text


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("trusted", [None, "0.0.0.0/0,::/0"])
def test_rate_limit_of_a_key_does_not_depend_on_the_reported_address(
    shop: IssuedKey, make_secured: MakeClient, trusted: str | None
) -> None:
    client = make_secured(trusted_proxies=trusted)
    statuses = [
        client.get(
            "/models", headers={**shop.headers, "x-forwarded-for": f"198.51.100.{number}"}
        ).status_code
        for number in range(4)
    ]
    assert statuses == [200, 200, 429, 429]


@pytest.mark.usefixtures("clock")
def test_invalid_keys_do_not_count_against_the_key_with_their_id(
    shop: IssuedKey, make_secured: MakeClient
) -> None:
    client = make_secured()
    for _ in range(5):
        problem(client.get("/models", headers=bearer(new_token("shop"))), 401, "key-unknown")
    for _ in range(2):
        assert client.get("/models", headers=shop.headers).status_code == 200


@pytest.mark.usefixtures("clock")
def test_rate_limit_setting_applies_to_keys_without_their_own_limit(
    make_secured: MakeClient, issued: Issued
) -> None:
    client = make_secured(requests_per_minute=1)
    headers = issued["predict"].headers
    assert client.get("/models", headers=headers).status_code == 200
    # Forbidden requests are counted as well.
    assert client.get("/models", headers=headers).status_code == 429
    assert client.get("/metrics", headers=headers).status_code == 429
