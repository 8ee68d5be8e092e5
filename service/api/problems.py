"""Map the error tree to HTTP: RFC 9457 problems, and errors of the Open Inference Protocol."""

import http
from collections.abc import Mapping

import orjson
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from oodguard.models.errors import GuardError
from oodguard.service import errors
from oodguard.service.api.problem_types import (
    INTERNAL_ERROR,
    METHOD_NOT_ALLOWED,
    PROBLEM_TYPES,
    ProblemType,
)

JSON = "application/json"

PROBLEM_JSON = "application/problem+json"

OPEN_INFERENCE_ROOT = "/v2"

CLIENT_CLOSED_REQUEST = 499

# Python's phrases for these two differ between its versions.
_TITLES: Mapping[int, str] = {413: "Payload too large", 422: "Unprocessable content"}

_RETRY_LATER = frozenset({429, 503})


_CHALLENGE = 'Bearer realm="oodguard"'


def is_open_inference(path: str) -> bool:
    """Return whether errors at a path have the format of the Open Inference Protocol."""
    return path == OPEN_INFERENCE_ROOT or path.startswith(f"{OPEN_INFERENCE_ROOT}/")


def title(status: int) -> str:
    """Return the title of the problems with a status."""
    return _TITLES.get(status) or http.HTTPStatus(status).phrase.capitalize()


def problem_body(problem: ProblemType, detail: str, identifier: str, **extension: object) -> bytes:
    """Return the body of a problem response.

    Args:
        problem: The type of problem.
        detail: The received and the expected value.
        identifier: The request's id.
        extension: Further members.
    """
    body = {
        "type": f"/problems/{problem.slug}",
        "title": title(problem.status),
        "status": problem.status,
        "detail": detail,
        "request_id": identifier,
        **extension,
    }
    return orjson.dumps(body)


def error_response(scope: Scope, error: Exception) -> Response:
    """Return the response to a request that failed with an error of the tree.

    Raises:
        Exception: The error itself, if it has no problem type.
    """
    if isinstance(error, errors.ClientDisconnected):
        errors.drop_tracebacks(error)
        # No client receives it: the status is for metrics and logs.
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    cause = error.cause if isinstance(error, errors.InvalidImage) else error
    problem = next((PROBLEM_TYPES[t] for t in type(cause).__mro__ if t in PROBLEM_TYPES), None)
    if problem is None:
        raise error
    extension = {}
    if isinstance(error, errors.InvalidImage):
        extension["image"] = {"index": error.index, "name": error.name}
    response = _response(scope, problem, str(error), **extension)
    response.headers.update(_headers(error))
    errors.drop_tracebacks(error)
    return response


async def on_unexpected_error(request: Request, _error: Exception) -> Response:
    """Return the response to an unexpected error; the server logs its traceback."""
    detail = "unexpected error: the service's log has the cause under this request_id"
    return _response(request.scope, INTERNAL_ERROR, detail)


def add_handlers(app: FastAPI) -> None:
    """Answer every error of an application as a problem."""
    app.exception_handler(GuardError)(_on_guard_error)
    app.exception_handler(HTTPException)(_on_http_exception)
    app.exception_handler(Exception)(on_unexpected_error)


async def _on_guard_error(request: Request, error: Exception) -> Response:
    return error_response(request.scope, error)


async def _on_http_exception(request: Request, error: HTTPException) -> Response:
    status, headers = error.status_code, error.headers or {}
    where = f"{request.method} {request.url.path[:256]}"
    if status == http.HTTPStatus.NOT_FOUND:
        return error_response(request.scope, errors.RouteNotFound(f"{where}: no such route"))
    if status == METHOD_NOT_ALLOWED.status:
        problem = METHOD_NOT_ALLOWED
        if headers.get("Allow") == "GET":
            # `HeadMiddleware` answers HEAD for these.
            headers = {"Allow": "GET, HEAD"}
        detail = f"{where}: method not allowed, expected {headers.get('Allow', 'another')}"
    else:
        phrase = http.HTTPStatus(status).phrase
        problem = ProblemType(slug=phrase.lower().replace(" ", "-"), status=status)
        detail = f"{where}: {phrase.lower()}"
    response = _response(request.scope, problem, detail)
    response.headers.update(headers)
    return response


def _response(scope: Scope, problem: ProblemType, detail: str, **extension: object) -> Response:
    identifier = scope["state"]["request_id"]
    headers = {"retry-after": "1"} if problem.status in _RETRY_LATER else {}
    scope["state"]["problem"] = problem.slug
    # The name of a bundle's folder that is not UTF-8 contains surrogates, which JSON cannot.
    detail = detail.encode("utf-8", "backslashreplace").decode()
    if is_open_inference(scope["path"]):
        # Clients of the protocol do not show response headers, so the text contains the id.
        body = orjson.dumps({"error": f"{detail} (request {identifier})"})
        return Response(body, problem.status, headers, JSON)
    body = problem_body(problem, detail, identifier, **extension)
    return Response(body, problem.status, headers, PROBLEM_JSON)


def _headers(error: Exception) -> Mapping[str, str]:
    """Return the headers that an error adds, such as the challenge of RFC 6750."""
    match error:
        case errors.KeyMissing():
            return {"www-authenticate": _CHALLENGE}
        case errors.KeyUnknown():
            return {"www-authenticate": f'{_CHALLENGE}, error="invalid_token"'}
        case errors.RoleMissing(role=role):
            scope = "" if role is None else f', scope="{role}"'
            return {"www-authenticate": f'{_CHALLENGE}, error="insufficient_scope"{scope}'}
        case errors.BodyTooSlow():
            # The rest of the body would be read, and discarded, for as long as the client likes.
            return {"connection": "close"}
        case errors.RateLimited(retry_after_s=seconds):
            return {"retry-after": str(seconds)}
        case _:
            return {}
