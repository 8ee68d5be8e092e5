"""Who shows a key with the role that the path wants is let in, by one middleware or at the door."""

from collections.abc import Mapping
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import (
    Denial,
    KeyMissing,
    KeyUnknown,
    RateLimited,
    RequestError,
    RoleMissing,
)
from service.http.problems import refuse
from service.metrics import Metrics
from service.security.held_keys import HeldKeys
from service.security.keyring import Key
from service.security.paths import OPEN, role_wanted
from service.security.rates import Rates

SCHEME = b"bearer"

DENIALS: Final[Mapping[type[RequestError], Denial]] = {
    KeyMissing: "no-key",
    KeyUnknown: "unknown-key",
    RoleMissing: "role",
    RateLimited: "rate",
}


class Admittance:
    """Lets in who shows a key, and counts who does not.

    Args:
        keys: The keys in force.
        rates: How often each may ask.
        metrics: Where refusals are counted.
    """

    def __init__(self, keys: HeldKeys, rates: Rates, metrics: Metrics) -> None:
        self._keys = keys
        self._rates = rates
        self._metrics = metrics

    def require(self, scope: Scope) -> None:
        """Let a request in, noting in its state by which key.

        Raises:
            KeyMissing: It shows none.
            KeyUnknown: It shows one that is not in force.
            RateLimited: The key has asked too often.
            RoleMissing: The key has not the role that is wanted.
        """
        try:
            scope["state"]["key"] = self._admitted(scope).id
        except tuple(DENIALS) as error:
            self._metrics.count_denied(DENIALS[type(error)])
            raise

    def _admitted(self, scope: Scope) -> Key:
        key = self._keys.ring.find(shown_key(scope))
        if key is None:
            raise KeyUnknown("the key that came is not in force; a valid one is wanted")
        self._rates.require(key)
        role = role_wanted(scope["path"])
        if role is not None and role not in key.roles:
            has = ", ".join(sorted(key.roles))
            raise RoleMissing(f"key {key.id} has the role {has}; {role} is wanted", role=role)
        return key


class Authorisation:
    """Asks for a key before anything is read of a request, or known of its path.

    Args:
        app: What answers.
        admittance: Who is let in.
    """

    def __init__(self, app: ASGIApp, admittance: Admittance) -> None:
        self._app = app
        self._admittance = admittance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["path"] not in OPEN:
            try:
                self._admittance.require(scope)
            except tuple(DENIALS) as error:
                await refuse(error, scope, receive, send)
                return
        await self._app(scope, receive, send)


def shown_key(scope: Scope) -> str:
    """What a request shows as its key, valid or not.

    Raises:
        KeyMissing: Nothing.
        KeyUnknown: More than one thing, so that it is open which is meant.
    """
    shown = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(shown) > 1:
        raise KeyUnknown(f"{len(shown)} Authorization headers came; one is wanted")
    scheme, _, token = shown[0].partition(b" ") if shown else (b"", b"", b"")
    if scheme.lower() != SCHEME:
        raise KeyMissing("no key came; the header Authorization: Bearer KEY is wanted")
    # Latin-1 reads any byte; what is not of a key's form is found to be unknown.
    return str(token.strip(), "latin-1")
