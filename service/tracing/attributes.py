"""A request in the words of OpenTelemetry's semantic conventions for HTTP, version 1.44.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/. Left out on purpose: the client's
address, which is personal data, and the query, which no route takes, so that it is a mistake of
the client and may hold a secret.
"""

from collections.abc import Mapping
from typing import Any

from opentelemetry.util.types import AttributeValue
from starlette.datastructures import Headers
from starlette.types import Scope

SCHEMA = "https://opentelemetry.io/schemas/1.44.0"
METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)
# What a client may write at will is kept short: spans wait in memory until they are sent.
LONGEST = 256

Attributes = dict[str, AttributeValue]


def method_of(scope: Scope) -> str:
    """The method, where it is one of the known ones."""
    method: str = scope["method"]
    return method if method in METHODS else "_OTHER"


def of_request(scope: Scope, headers: Headers) -> Attributes:
    """What is known as a request comes in."""
    attributes: Attributes = {
        "http.request.method": method_of(scope),
        "url.path": scope["path"][:LONGEST],
        "url.scheme": scope["scheme"],
        "network.protocol.version": scope["http_version"],
        "oodguard.request_id": scope["state"]["request_id"],
    }
    if scope["method"] not in METHODS:
        attributes["http.request.method_original"] = scope["method"][:LONGEST]
    if agent := headers.get("user-agent"):
        attributes["user_agent.original"] = agent[:LONGEST]
    if scope.get("server"):
        attributes["server.address"], attributes["server.port"] = scope["server"]
    return attributes


def of_answer(route: str | None, code: int, state: Mapping[str, Any]) -> Attributes:
    """What is known once it is answered.

    Args:
        route: The pattern of its path; none where there is nothing at it.
        code: The status.
        state: What others left there of the request.
    """
    attributes: Attributes = {"http.response.status_code": code}
    if route:
        attributes["http.route"] = route
    if code >= 500:
        attributes["error.type"] = state.get("problem", str(code))
    for name in ("model", "version", "images", "rejected", "problem", "shed"):
        if name in state:
            attributes[f"oodguard.{name}"] = state[name]
    return attributes
