"""Limits on concurrent requests, and on what they and their responses hold in memory.

Everything that waits takes memory. The limits on requests, and on their bytes and images, bound the
memory of the process while it receives more requests than it can serve. The limit on unread bytes
bounds that of responses which the system has not taken yet, because their clients do not read.

The requests of one client together may hold at most four fifths of what the other clients leave
free: alone four fifths of a limit, two clients four ninths each. A further client therefore always
finds something free. These are the dynamic thresholds of Choudhury and Hahne (1998) for the shared
memory of packet switches, doi:10.1109/90.664262. A request whose client holds nothing else is
subject to the total limit only, so that a small limit does not exclude a large request.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Self, TypeAlias

from oodguard.service.errors import Overloaded

Unit: TypeAlias = Literal["requests", "bytes", "images", "unread bytes"]

Held: TypeAlias = dict[Unit, int]

MAX_UNREAD_BYTES = 64 * 2**20
"""Maximum size of all responses that the system has not taken yet; a larger one may be the only."""

UNREAD_MARGIN_BYTES = 16 * 2**20
"""Free for the responses to requests that were admitted, which are closed if they do not fit."""


def client_share(free: int) -> int:
    """Return how much one client may hold of what the other clients leave free."""
    return 4 * free // 5


def _nothing() -> Held:
    return {"requests": 0, "bytes": 0, "images": 0, "unread bytes": 0}


@dataclass(slots=True)
class _Client:
    """A client's claims: their number, and the sum of their shares."""

    held: Held = field(default_factory=_nothing)
    claims: int = 0


class Admission:
    """Admit requests within the limits on requests, bytes and images, in total and per client.

    Args:
        max_requests: Maximum number of concurrent requests.
        max_bytes: Maximum number of body bytes, over all requests.
        max_images: Maximum number of images, over all requests.

    Attributes:
        on_released: Called with the bytes of bodies and responses that a claim has released.
    """

    def __init__(self, *, max_requests: int, max_bytes: int, max_images: int) -> None:
        self._limits: Held = {
            "requests": max_requests,
            "bytes": max_bytes,
            "images": max_images,
            "unread bytes": MAX_UNREAD_BYTES,
        }
        self._held = _nothing()
        # Only clients with an open claim: memory is bounded by the number of connections.
        self._clients: dict[str, _Client] = {}
        self._first_rejection = max(1, client_share(max_requests))
        # Decode threads add images.
        self._lock = threading.Lock()
        self.on_released: Callable[[int], None] = lambda _count: None

    @property
    def requests(self) -> int:
        """The number of requests in flight in this process."""
        return self._held["requests"]

    def may_be_full(self) -> bool:
        """Return whether the limit on requests may be reached, in total or for some client."""
        return self.requests + self._elsewhere("requests") >= self._first_rejection

    def has_unread(self) -> bool:
        """Return whether the system has not taken some response."""
        return bool(self._held["unread bytes"] or self._elsewhere("unread bytes"))

    def require_reader(self, address: str) -> None:
        """Check that the clients of an address read their responses.

        Args:
            address: The address, see `client_address.network_of`. The key is not known yet where
                a response is written.

        Raises:
            Overloaded: The responses that they have not read nearly reach their share of the limit.
        """
        known = self._clients.get(address)
        held = known.held["unread bytes"] if known else 0
        if held or self._elsewhere_of(address, "unread bytes"):
            self._require(address, "unread bytes", UNREAD_MARGIN_BYTES, held, 0)

    def require_request(self, client: str) -> None:
        """Check that one more request of a client is within the limits, without adding it.

        Raises:
            Overloaded: A limit would be exceeded.
        """
        if not self.may_be_full():
            return
        known = self._clients.get(client)
        self._require(client, "requests", 1, known.held["requests"] if known else 0, 0)

    def open(self, name: str) -> _Client:
        """Begin a claim of a client."""
        with self._lock:
            client = self._clients.get(name)
            if client is None:
                client = self._clients[name] = _Client()
            client.claims += 1
            return client

    def add(self, claim: "Claim", unit: Unit, count: int) -> None:
        """Add to what a claim holds.

        Raises:
            Overloaded: A limit would be exceeded; nothing was added.
        """
        with self._lock:
            mine, client = claim.held, claim.client.held
            if claim.closed:
                # A decode thread begins a job whose request has ended; it will skip the images.
                mine[unit] += count
                return
            self._announce(claim.name, unit, count)
            try:
                self._require(claim.name, unit, count, client[unit], mine[unit])
            except Overloaded:
                self._announce(claim.name, unit, -count)
                raise
            self._held[unit] += count
            client[unit] += count
            mine[unit] += count

    def require(self, claim: "Claim", unit: Unit, count: int) -> None:
        """Check that more is within the limits, without adding it.

        Raises:
            Overloaded: A limit would be exceeded.
        """
        with self._lock:
            held = claim.client.held[unit]
            self._require(claim.name, unit, count, held, claim.held[unit])

    def close(self, claim: "Claim") -> None:
        """End a claim, and release what it holds."""
        with self._lock:
            claim.closed = True
            client = claim.client
            for unit, count in claim.held.items():
                if not count:
                    continue
                self._held[unit] -= count
                client.held[unit] -= count
                self._announce(claim.name, unit, -count)
            client.claims -= 1
            if not client.claims:
                del self._clients[claim.name]
        self.on_released(claim.held["bytes"] + claim.held["unread bytes"])

    def _elsewhere(self, unit: Unit) -> int:  # noqa: ARG002 - of subclasses
        """Return what other processes of the service hold."""
        return 0

    def _elsewhere_of(self, name: str, unit: Unit) -> int:  # noqa: ARG002 - of subclasses
        """Return what a client holds in other processes of the service."""
        return 0

    def _announce(self, name: str, unit: Unit, count: int) -> None:
        """Let other processes of the service count what this one is about to hold."""

    def _require(self, name: str, unit: Unit, count: int, of_client: int, of_claim: int) -> None:
        held, allowed, whose = self._held[unit] + self._elsewhere(unit), self._limits[unit], ""
        # Settings are refused if a request could exceed a limit; a response may.
        if held + count <= allowed or (unit == "unread bytes" and not held):
            of_client += self._elsewhere_of(name, unit)
            if of_client == of_claim:
                return
            allowed = client_share(allowed - held + of_client)
            if of_client + count <= allowed:
                return
            held, whose = of_client, " of this client"
        if unit == "unread bytes":
            raise Overloaded(
                f"{held} bytes of responses{whose} are not read, expected at most"
                f" {max(0, allowed - count)}: read the responses"
            )
        raise Overloaded(
            f"{held} {unit}{whose} are in flight and {count} more were received,"
            f" at most {allowed} are allowed"
        )


class Claim:
    """The share of the limits that one request holds until the end of its `with` block.

    Attributes:
        name: The client that sent the request, see `client_address.client_of`.
        client: The claims of the client.
        held: The share of the limits; after the block, the share that it would have.
        closed: Whether the block has ended.
    """

    def __init__(self, admission: Admission, name: str) -> None:
        self._admission = admission
        self.name = name
        self.held = _nothing()
        self.closed = False

    def __enter__(self) -> Self:
        self.client = self._admission.open(self.name)
        return self

    def __exit__(self, *_: object) -> None:
        self._admission.close(self)

    @property
    def images(self) -> int:
        """The number of images of the request."""
        return self.held["images"]

    def add(self, unit: Unit, count: int) -> None:
        """Claim more of a unit, or raise `Overloaded`."""
        self._admission.add(self, unit, count)

    def require(self, unit: Unit, count: int) -> None:
        """Raise `Overloaded` if more of a unit could not be claimed now."""
        self._admission.require(self, unit, count)
