"""Every error as an RFC 9457 problem: the one place where the error tree meets HTTP."""

import http
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from oodguard.models.errors import GuardError, ImageTooLarge, UndecodableImage, UnsupportedImage
from oodguard.service import errors
from oodguard.service.asgi import request_id

ROOT = "/v2"

JSON = "application/json"


def is_spoken(path: str) -> bool:
    """Whether who asks for a path speaks the protocol."""
    return path == ROOT or path.startswith(f"{ROOT}/")


def error(status: int, detail: str, identifier: str, headers: dict[str, str]) -> Response:
    """Answer with an error.

    Args:
        status: The HTTP status.
        detail: What came and what was wanted.
        identifier: The request's id, put behind it: clients of the protocol hide headers.
        headers: Further headers.
    """
    body = {"error": f"{detail} (request {identifier})"}
    return Response(orjson.dumps(body), status, headers, JSON)


MEDIA_TYPE = "application/problem+json"

CLIENT_CLOSED_REQUEST = 499


@dataclass(frozen=True, slots=True)
class Kind:
    """A stable kind of problem; `slug` is the end of its `type` and its anchor in the docs."""

    slug: str
    status: int
    title: str


KINDS: Mapping[type[GuardError], Kind] = {
    UndecodableImage: Kind("undecodable-image", 400, "The image cannot be decoded"),
    errors.MalformedBody: Kind("malformed-body", 400, "The body is broken"),
    ImageTooLarge: Kind("image-too-large", 413, "The image has too many pixels"),
    errors.BodyTooLarge: Kind("body-too-large", 413, "The body has too many bytes"),
    errors.TooManyImages: Kind("too-many-images", 413, "The request has too many images"),
    UnsupportedImage: Kind("unsupported-image", 415, "This kind of image is not taken"),
    errors.UnsupportedContent: Kind("unsupported-content", 415, "This content is not taken"),
    errors.WrongFields: Kind("wrong-fields", 422, "The fields are not the wanted ones"),
    errors.KeyMissing: Kind("key-missing", 401, "A key is wanted"),
    errors.KeyUnknown: Kind("key-unknown", 401, "The key is not in force"),
    errors.RoleMissing: Kind("role-missing", 403, "The key has not the wanted role"),
    errors.RateLimited: Kind("rate-limited", 429, "The key has asked too often"),
    errors.UnknownModel: Kind("unknown-model", 404, "No such model is served"),
    errors.BundleRejected: Kind("bundle-refused", 409, "A bundle is refused"),
    errors.Overloaded: Kind("overloaded", 429, "Too many requests are in flight"),
    errors.NotReady: Kind("not-ready", 503, "The service is not ready"),
    errors.DeadlineExceeded: Kind("deadline-exceeded", 504, "The answer took too long"),
}

FRAMEWORK: Mapping[int, Kind] = {
    404: Kind("not-found", 404, "There is nothing at this path"),
    405: Kind("method-not-allowed", 405, "The path does not take this method"),
}

INTERNAL = Kind("internal-error", 500, "The service failed")

CHALLENGE = 'Bearer realm="oodguard"'

RETRY_AFTER_S: Mapping[int, str] = {429: "1", 503: "1"}


def install(app: FastAPI) -> None:
    """Answer every error of an app as a problem."""
    app.add_exception_handler(GuardError, _on_guard_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(errors.ClientDisconnected, _on_disconnect)
    app.add_exception_handler(Exception, on_unforeseen)


async def _on_guard_error(request: Request, error: Exception) -> Response:
    return refusal(request.scope, error)


def refusal(scope: Scope, error: Exception) -> Response:
    """The answer to a request that is refused; of the scope its path and state are wanted.

    Raises:
        Exception: The error itself, if it is no refusal.
    """
    cause = error.cause if isinstance(error, errors.InvalidImage) else error
    kind = next((KINDS[base] for base in type(cause).__mro__ if base in KINDS), None)
    if kind is None:
        raise error
    extension: dict[str, Any] = {}
    if isinstance(error, errors.InvalidImage):
        extension["image"] = {"index": error.index, "name": error.name}
    answer = _problem(scope, kind, str(error), extension)
    answer.headers.update(_headers(error))
    _let_go_of_frames(error)
    return answer


def _let_go_of_frames(error: BaseException | None) -> None:
    """Drop the tracebacks of an error that is answered, and of what caused it.

    Their frames hold the request's job, and the job holds the error: a circle around a whole body,
    which would stay in memory until some garbage collection comes.
    """
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


async def refuse(error: GuardError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request outside of the app, where its handlers of errors do not reach."""
    await refusal(scope, error)(scope, receive, send)


def nobody_listens() -> Response:
    """An answer to a client that hung up; its status is for metrics and logs."""
    return Response(status_code=CLIENT_CLOSED_REQUEST)


def _headers(error: Exception) -> Mapping[str, str]:
    """The headers by which programs learn what would be let in, RFC 6750, or when."""
    match error:
        case errors.KeyMissing():
            return {"www-authenticate": CHALLENGE}
        case errors.KeyUnknown():
            return {"www-authenticate": f'{CHALLENGE}, error="invalid_token"'}
        case errors.RoleMissing(role=role):
            said = f'error="insufficient_scope", scope="{role}"'
            return {"www-authenticate": f"{CHALLENGE}, {said}"}
        case errors.RateLimited(retry_after_s=seconds):
            return {"retry-after": str(seconds)}
        case _:
            return {}


async def _on_http_exception(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    phrase = http.HTTPStatus(error.status_code).phrase
    slug = phrase.lower().replace(" ", "-")
    kind = FRAMEWORK.get(error.status_code, Kind(slug, error.status_code, phrase))
    headers = error.headers or {}
    wanted = f"{headers['Allow']} is wanted" if "Allow" in headers else "see /docs"
    came = f"{request.method} {request.url.path[:256]} came"
    answer = _problem(request.scope, kind, f"{came}; {wanted}")
    answer.headers.update(headers)
    return answer


async def _on_disconnect(_request: Request, _error: Exception) -> Response:
    return nobody_listens()


async def on_unforeseen(request: Request, _error: Exception) -> Response:
    """The traceback goes to the log, by the server that called us; the client gets the id to it."""
    detail = "the failure is in the service's log under this request_id"
    return _problem(request.scope, INTERNAL, detail)


def _problem(
    scope: Scope, kind: Kind, detail: str, extension: Mapping[str, Any] | None = None
) -> Response:
    identifier = request_id(scope)
    headers = {}
    if kind.status in RETRY_AFTER_S:
        headers["retry-after"] = RETRY_AFTER_S[kind.status]
    scope["state"]["problem"] = kind.slug
    if is_spoken(scope["path"]):
        return error(kind.status, detail, identifier, headers)
    body = {
        "type": f"/problems/{kind.slug}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "request_id": identifier,
        **(extension or {}),
    }
    return Response(orjson.dumps(body), kind.status, headers, MEDIA_TYPE)
