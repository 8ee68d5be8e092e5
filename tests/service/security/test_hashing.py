"""Keys are stored as salted hashes and recognised by them."""

import base64
import hashlib
import hmac
import re
from types import SimpleNamespace

import pytest

from oodguard.service.auth import keys as keyring
from oodguard.service.auth.keys import PATTERN, Key, KeyHash, Keyring, id_of, new_id, new_token


def test_a_stored_hash_is_the_sha256_of_salt_and_key() -> None:
    name, salt, digest = str(KeyHash.of("a key")).split(":")
    assert name == "sha256"
    assert len(bytes.fromhex(salt)) == 16
    assert digest == hashlib.sha256(bytes.fromhex(salt) + b"a key").hexdigest()


def test_the_same_key_is_stored_differently_each_time_and_recognised_each_time() -> None:
    stored = [KeyHash.of("a key") for _ in range(2)]
    assert stored[0] != stored[1]
    assert all(each.matches("a key") for each in stored)
    assert not any(each.matches("a kez") for each in stored)


def test_what_is_written_is_read_again() -> None:
    stored = KeyHash.of("a key")
    assert re.fullmatch(PATTERN, str(stored))
    assert KeyHash.read(str(stored)) == stored


def test_a_key_carries_its_id_and_256_bits() -> None:
    token = new_token("shop-1")
    assert token.startswith("oodguard_shop-1_")
    assert id_of(token) == "shop-1"
    secret = token.removeprefix("oodguard_shop-1_")
    assert len(base64.urlsafe_b64decode(secret + "=")) == 32
    assert token != new_token("shop-1")
    assert id_of(new_token(new_id())) is not None


@pytest.mark.parametrize(
    "token",
    [
        "",
        "oodguard",
        "oodguard_shop",
        f"oodguard__{'a' * 43}",
        f"oodguard_shop_{'a' * 42}",
        f"oodguard_shop_{'a' * 44}",
        f"oodguard_shop_{'a' * 43}\n",
        f"other_shop_{'a' * 43}",
        f"oodguard_SHOP_{'a' * 43}",
        f"oodguard_{'a' * 33}_{'a' * 43}",
        f"oodguard_shop_{'é' * 43}",
    ],
)
def test_what_is_not_of_a_key_s_form_has_no_id(token: str) -> None:
    assert id_of(token) is None


def ring(*ids: str) -> tuple[Keyring, dict[str, str]]:
    tokens = {each: new_token(each) for each in ids}
    keys = [
        Key(id=each, roles=frozenset({"predict"}), stored=KeyHash.of(token))
        for each, token in tokens.items()
    ]
    return Keyring(keys), tokens


def test_a_key_is_found_by_its_token_alone() -> None:
    keys, tokens = ring("a", "b")
    for each, token in tokens.items():
        found = keys.find(token)
        assert found is not None
        assert found.id == each
    assert keys.find(new_token("a")) is None
    assert keys.find(tokens["a"].replace("_a_", "_b_")) is None
    assert keys.find(new_token("c")) is None


def test_one_hash_is_compared_in_constant_time_whether_the_id_is_there_or_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys, tokens = ring("a", "b")
    compared = []

    def counted(left: bytes, right: bytes) -> bool:
        compared.append((len(left), len(right)))
        return hmac.compare_digest(left, right)

    monkeypatch.setattr("oodguard.service.auth.keys.hmac", SimpleNamespace(compare_digest=counted))
    for token in (tokens["a"], new_token("a"), new_token("nobody"), new_token("c")):
        keys.find(token)
    assert compared == [(32, 32)] * 4


def test_nobody_s_own_key_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    token = new_token("nobody")
    monkeypatch.setattr(keyring, "new_token", lambda _id: token)
    keys, _ = ring("a")
    assert keys.find(token) is None
