"""API keys: their form, their salted hashes, and the lookup of a received key."""

import base64
import hashlib
import hmac
import re
from types import SimpleNamespace

import pytest

from oodguard.service.auth import keys as keys_module
from oodguard.service.auth.keys import (
    HASH_PATTERN,
    Key,
    Keyring,
    hash_key,
    id_of,
    new_id,
    new_token,
)


def test_key_hash_is_the_sha256_of_salt_and_key() -> None:
    stored = hash_key("a key")
    assert re.fullmatch(HASH_PATTERN, stored)
    name, salt, digest = stored.split(":")
    assert name == "sha256"
    assert len(bytes.fromhex(salt)) == 16
    assert digest == hashlib.sha256(bytes.fromhex(salt) + b"a key").hexdigest()


def test_key_hash_has_a_new_salt_each_time_and_matches_its_key_only() -> None:
    hashes = [hash_key("a key") for _ in range(2)]
    assert hashes[0] != hashes[1]
    keys = [Key(id="a", roles=["predict"], hash=each) for each in hashes]
    assert all(each.matches("a key") for each in keys)
    assert not any(each.matches("a kez") for each in keys)


def test_new_key_contains_its_id_and_256_random_bits() -> None:
    token = new_token("shop-1")
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
def test_text_without_the_form_of_a_key_has_no_id(token: str) -> None:
    assert id_of(token) is None


def keyring(*ids: str) -> tuple[Keyring, dict[str, str]]:
    tokens = {key_id: new_token(key_id) for key_id in ids}
    keys = [
        Key(id=key_id, roles=["predict"], hash=hash_key(token)) for key_id, token in tokens.items()
    ]
    return Keyring(keys), tokens


def test_keyring_finds_a_key_by_its_token_only() -> None:
    ring, tokens = keyring("a", "b")
    for key_id, token in tokens.items():
        found = ring.find(token)
        assert found is not None
        assert found.id == key_id
    assert ring.find(new_token("a")) is None
    assert ring.find(tokens["a"].replace("_a_", "_b_")) is None
    assert ring.find(new_token("c")) is None


def test_keyring_compares_one_hash_in_constant_time_for_known_and_unknown_ids(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ring, tokens = keyring("a", "b")
    compared = []

    def compare_digest(left: bytes, right: bytes) -> bool:
        compared.append((len(left), len(right)))
        return hmac.compare_digest(left, right)

    monkeypatch.setattr(keys_module, "hmac", SimpleNamespace(compare_digest=compare_digest))
    for token in (tokens["a"], new_token("a"), new_token("decoy"), new_token("c")):
        ring.find(token)
    assert compared == [(32, 32)] * 4


def test_decoy_key_of_the_keyring_is_not_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    token = new_token("decoy")
    monkeypatch.setattr(keys_module, "new_token", lambda _id: token)
    ring, _ = keyring("a")
    assert ring.find(token) is None
