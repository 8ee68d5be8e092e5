"""The client of a request: its address, also behind trusted proxies, and its share of the limits.

Uvicorn's `ProxyHeadersMiddleware` is not used: early load shedding answers before any middleware,
and it takes text that is not an address as the client.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import TypeAlias

from starlette.types import Scope

Address: TypeAlias = IPv4Address | IPv6Address

Network: TypeAlias = IPv4Network | IPv6Network

FORWARDED_FOR = b"x-forwarded-for"

UNKNOWN = "unknown"
"""The address of a client without one, such as at a Unix socket."""

# A request passes a few proxies. 16,000 addresses took tens of milliseconds of the event loop.
MAX_FORWARDED_ADDRESSES = 32

# Without a zone index, which may contain any text.
_ENTRY = re.compile(
    r"(?P<v4>[0-9.]{1,15})(:[0-9]{1,5})?"
    r"|(?P<v6>[0-9A-Fa-f:.]{1,45})"
    r"|\[(?P<bracketed>[0-9A-Fa-f:.]{1,45})\](:[0-9]{1,5})?",
    re.ASCII,
)

_CACHED_ADDRESSES = 4096

# The smallest network that a provider assigns to one site (RFC 6177).
_IPV6_CLIENT_BITS = 64


@dataclass(frozen=True, slots=True)
class ClientAddresses:
    """Determines the addresses of clients.

    Args:
        trusted_proxies: Networks of the proxies whose X-Forwarded-For is used.
    """

    trusted_proxies: tuple[Network, ...] = ()

    def of(self, scope: Scope) -> str:
        """Return the address of the client that sent a request.

        It is the peer of the connection or, if that is a trusted proxy, the rightmost address in
        X-Forwarded-For that is not one: each proxy appends the address of its own peer, and what
        is to the left was sent by the client. Text that is not an address ends the search at the
        proxy that sent it. At most 32 addresses are read: if all of them are trusted, the client
        is the last one of these.
        """
        peer: str = (scope.get("client") or (UNKNOWN,))[0]
        if not self.trusted_proxies:
            return _normal(peer)
        address = _parse_peer(peer)
        if address is None or not self._trusts(address):
            return _normal(peer)
        values = [value for name, value in scope["headers"] if name == FORWARDED_FOR]
        entries = b",".join(values).rsplit(b",", MAX_FORWARDED_ADDRESSES)
        for entry in reversed(entries[-MAX_FORWARDED_ADDRESSES:]):
            forwarded = parse_address(str(entry, "latin-1"))
            if forwarded is None:
                break
            address = forwarded
            if not self._trusts(address):
                break
        return str(address)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self.trusted_proxies)


def parse_address(text: str) -> Address | None:
    """Return the address in an entry of X-Forwarded-For, or None if it is not one.

    Proxies write `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` and
    `[2001:db8::1]:80`. An IPv4 address that is mapped to IPv6 is returned as IPv4.
    """
    match = _ENTRY.fullmatch(text.strip())
    if match is None:
        return None
    try:
        address = ip_address(match["v4"] or match["v6"] or match["bracketed"])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _parse_peer(peer: str) -> Address | None:
    # The system appends the zone index of a link-local address.
    return parse_address(peer.partition("%")[0])


@lru_cache(_CACHED_ADDRESSES)
def _normal(peer: str) -> str:
    return str(_parse_peer(peer) or peer)


def client_of(scope: Scope) -> str:
    """Return the client whose share of the limits a request counts towards.

    It is the id of the API key or, without keys, the address; for IPv6 its /64 network, because
    one client may use any address of it.
    """
    state = scope["state"]
    key: str | None = state.get("key")
    return key if key is not None else network_of(state.get("client", UNKNOWN))


@lru_cache(_CACHED_ADDRESSES)
def network_of(address: str) -> str:
    """Return what identifies a client in limits: its address, or for IPv6 its /64 network."""
    if not isinstance(parse_address(address), IPv6Address):
        return address
    return str(ip_network(f"{address}/{_IPV6_CLIENT_BITS}", strict=False))
