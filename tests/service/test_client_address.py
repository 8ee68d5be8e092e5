"""The address of a client: the peer, or what trusted proxies report."""

from ipaddress import ip_network

import pytest
from starlette.types import Scope

from oodguard.service.client_address import ClientAddresses, client_of, parse_address

PROXIES = ("10.0.0.0/8", "2001:db8:1::/48")


def address(peer: str, *forwarded_for: str, trusted: tuple[str, ...] = PROXIES) -> str:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded_for]
    scope: Scope = {"type": "http", "client": (peer, 1234), "headers": headers}
    return ClientAddresses(tuple(map(ip_network, trusted))).of(scope)


@pytest.mark.parametrize("peer", ["192.0.2.1", "2001:db8::1", "testclient"])
def test_client_address_is_the_peer_unless_it_is_a_trusted_proxy(peer: str) -> None:
    assert address(peer) == peer
    assert address(peer, "198.51.100.1") == peer
    assert address("10.0.0.1", "198.51.100.1", trusted=()) == "10.0.0.1"


@pytest.mark.parametrize(
    ("forwarded_for", "expected"),
    [
        (["198.51.100.1"], "198.51.100.1"),
        (["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
        (["198.51.100.1, 10.0.0.7"], "198.51.100.1"),
        (["203.0.113.9, 198.51.100.1, 10.9.9.9,2001:db8:1::7"], "198.51.100.1"),
        (["203.0.113.9", "198.51.100.1", "10.0.0.7"], "198.51.100.1"),
        ([" 198.51.100.1\t"], "198.51.100.1"),
        (["198.51.100.1:4711"], "198.51.100.1"),
        (["2001:DB8:2:0::5"], "2001:db8:2::5"),
        (["[2001:db8:2::5]"], "2001:db8:2::5"),
        (["[2001:db8:2::5]:443"], "2001:db8:2::5"),
        (["::ffff:198.51.100.1"], "198.51.100.1"),
        # Duplicates, in one header and in several.
        (["198.51.100.1, 198.51.100.1"], "198.51.100.1"),
        (["198.51.100.1", "198.51.100.1"], "198.51.100.1"),
        (["198.51.100.1, 10.0.0.7", "10.0.0.7, 10.0.0.7"], "198.51.100.1"),
        # A trusted proxy to the left of an untrusted one was written by the untrusted one.
        (["203.0.113.9, 10.0.0.7, 198.51.100.1"], "198.51.100.1"),
        (["10.0.0.7, 198.51.100.1", "10.0.0.8"], "198.51.100.1"),
        (["unknown, 198.51.100.1, 10.0.0.7"], "198.51.100.1"),
        (["fe80::1%eth0, [2001:db8:2::5]:443 , 10.0.0.7:80"], "2001:db8:2::5"),
        # Every space around an entry is ignored.
        (["198.51.100.1" + " " * 8000], "198.51.100.1"),
    ],
)
def test_client_address_is_the_rightmost_untrusted_address(
    forwarded_for: list[str], expected: str
) -> None:
    assert address("10.0.0.1", *forwarded_for) == expected
    assert address("::ffff:10.0.0.1", *forwarded_for) == expected


@pytest.mark.parametrize("peer", ["198.51.100.9", "2001:db8:2::9", "fe80::9%eth0"])
def test_client_address_of_an_untrusted_peer_cannot_be_chosen(peer: str) -> None:
    chosen = ["192.0.2.7", "10.0.0.7", "192.0.2.7, 10.0.0.7", "unknown", "::1", peer.upper()]
    found = {address(peer, *values) for value in chosen for values in ([value], [value] * 40, [])}
    assert found == {peer.partition("%")[0]}
    # Nor by a client behind a trusted proxy, which appends the address of its peer.
    behind = {address("10.0.0.1", f"{value}, 198.51.100.9") for value in chosen}
    assert behind == {"198.51.100.9"}


def test_client_address_of_a_link_local_proxy_is_trusted_without_its_zone() -> None:
    assert address("fe80::1%eth0", "198.51.100.1", trusted=("fe80::/10",)) == "198.51.100.1"
    assert address("fe80::1%eth0", "198.51.100.1") == "fe80::1"


def test_client_address_is_the_leftmost_if_every_address_is_trusted() -> None:
    assert address("10.0.0.1", "10.0.0.3, 10.0.0.2") == "10.0.0.3"
    assert address("10.0.0.1") == "10.0.0.1"


def test_client_address_is_searched_in_the_last_32_addresses() -> None:
    chain = [f"10.0.{number // 256}.{number % 256}" for number in range(16_000)]
    assert address("10.0.0.1", "198.51.100.1", ", ".join(chain)) == chain[-32]
    assert address("10.0.0.1", "198.51.100.1", *chain[-31:]) == "198.51.100.1"
    assert address("10.0.0.1", "198.51.100.1", *chain[-32:]) == chain[-32]


@pytest.mark.parametrize(
    "malformed",
    [
        "", "unknown", "_hidden", "localhost", "198.51.100", "198.51.100.256", "198.51.100.1:http",
        "[fe80::1%25eth0]:80", "2001:db8:2::5]:80", "0x7f.1",
        "198.51.100.1:", "[2001:db8:2::5", "[2001:db8:2::5]x", "2001:db8:2::5%eth0",
        'for="198.51.100.1"', "198.51.100.1 203.0.113.9", "\xff", "1" * 5000,
    ],
)  # fmt: skip
def test_client_address_is_the_proxy_that_sent_a_malformed_entry(malformed: str) -> None:
    assert parse_address(malformed) is None
    assert address("10.0.0.1", malformed) == "10.0.0.1"
    assert address("10.0.0.1", f"198.51.100.1, {malformed}") == "10.0.0.1"
    assert address("10.0.0.1", f"{malformed}, 10.0.0.2") == "10.0.0.2"
    # Text to the left of the client's address is its own, and is not read.
    assert address("10.0.0.1", f"{malformed}, 198.51.100.1") == "198.51.100.1"


def test_client_address_without_a_peer_is_unknown() -> None:
    scope: Scope = {"type": "http", "client": None, "headers": [(b"x-forwarded-for", b"192.0.2.1")]}
    assert ClientAddresses((ip_network("0.0.0.0/0"),)).of(scope) == "unknown"


@pytest.mark.parametrize(
    ("state", "client"),
    [
        ({"client": "192.0.2.1"}, "192.0.2.1"),
        ({"client": "192.0.2.1", "key": "shop"}, "shop"),
        ({"client": "2001:db8:0:1:2:3:4:5"}, "2001:db8:0:1::/64"),
        ({"client": "2001:db8:0:1:ffff::"}, "2001:db8:0:1::/64"),
        ({"client": "unknown"}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_client_is_the_key_or_else_the_address_or_its_network(
    state: dict[str, str], client: str
) -> None:
    assert client_of({"type": "http", "state": state}) == client
