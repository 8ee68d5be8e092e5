"""One middleware that tells browsers to make nothing of an answer but what it says it is."""

from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# After the OWASP REST security cheat sheet. What a route says itself stands.
HEADERS: Mapping[str, str] = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}

_RAW = tuple((name.encode(), value.encode()) for name, value in HEADERS.items())


def add_to(headers: list[tuple[bytes, bytes]]) -> None:
    """Add the headers to those of an answer."""
    said = {name for name, _ in headers}
    headers.extend(each for each in _RAW if each[0] not in said)


class SecurityHeaders:
    """Adds the headers to every answer that passes.

    Args:
        app: What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                add_to(message["headers"])
            await send(message)

        await self._app(scope, receive, guarded)
