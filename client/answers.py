"""Responses to results or errors, and the steps of one batch.

Nothing here sends or waits: `Client` and `AsyncClient` do, each in its own way.
"""

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any, TypeAlias

from pydantic import ValidationError

from oodguard.client.errors import (
    BODY_TOO_LARGE,
    IMAGE_PROBLEMS,
    PROBLEMS,
    BodyTooLargeError,
    ClientError,
    ImageBodyTooLargeError,
    ImageProblemError,
    InvalidImageError,
    ProblemError,
    ProblemFields,
    ResponseTimeoutError,
    ServiceUnreachableError,
    TooManyImagesError,
    UnexpectedResponseError,
    after_attempts,
)
from oodguard.client.requests import ImageBatch, Packer
from oodguard.client.results import AnsweringModel, ImageResult, ServedModels, ServedPolicy
from oodguard.client.retries import Fault, Received, RequestDeadline, retry_after_s

Outcome: TypeAlias = ImageResult | InvalidImageError

MAX_RESPONSE_BYTES = 64 * 2**20
"""More than the service sends for as many images as it accepts."""

_PREFIX = "/problems/"


def steps(
    batch: ImageBatch, packer: Packer | None, *, skip_invalid: bool
) -> Generator[ImageBatch, Received, list[Outcome]]:
    """Yield each request to send, take its response, and return the outcome of every image.

    A request that is too large for the service is divided. With `skip_invalid`, an invalid image
    is left out, and the rest is sent again.

    Args:
        batch: The images.
        packer: Is informed of the limits of the service; None if the batch cannot be divided.
        skip_invalid: Whether an invalid image is an outcome instead of an error.

    Raises:
        ClientError: A response that is an error.
    """
    waiting, found = [batch], dict[int, Outcome]()
    while waiting:
        sent = waiting.pop()
        try:
            results = results_of((yield sent), sent)
        except ImageProblemError as error:
            if not skip_invalid:
                raise
            found[error.index] = error
            position = next(i for i, each in enumerate(sent.items) if each.index == error.index)
            if (rest := sent.without(position)) is not None:
                waiting.append(rest)
        except (BodyTooLargeError, TooManyImagesError) as error:
            if packer is None or len(sent) == 1:
                raise
            first, second = sent.halves()
            if isinstance(error, TooManyImagesError):
                packer.limit_images(len(second))
            else:
                packer.limit_bytes(max(first.size, second.size))
            waiting += [second, first]
        else:
            found |= {each.index: each for each in results}
    return [found[each.index] for each in batch.items]


def reported(
    outcomes: Iterable[Outcome], on_invalid: Callable[[InvalidImageError], object] | None
) -> Iterator[ImageResult]:
    """Yield the results, and report each invalid image in its place.

    Raises:
        InvalidImageError: An image is invalid, and there is no `on_invalid`.
    """
    for outcome in outcomes:
        if isinstance(outcome, ImageResult):
            yield outcome
        elif on_invalid is None:
            raise outcome
        else:
            on_invalid(outcome)


def results_of(response: Received, batch: ImageBatch) -> list[ImageResult]:
    """Return the results of a response to POST /predict.

    Raises:
        ProblemError: The response is a problem; an ImageProblemError names the image.
        UnexpectedResponseError: The response is none of the service.
    """
    if response.status != HTTPStatus.OK:
        raise problem_error(response, batch)
    body = _json_object(response)
    try:
        predictions = body["predictions"]
        if len(predictions) != len(batch):
            raise _unexpected(response, f"{len(predictions)} predictions, expected {len(batch)}")
        common = {
            "request_id": body["request_id"],
            "model": AnsweringModel.model_validate(body["model"]),
            "policy": ServedPolicy.model_validate(body["policy"]),
            "detail": "full" if "threshold" in body["policy"] else "verdict",
        }
        return [
            ImageResult.model_validate({**fields, **common, "index": item.index, "name": item.name})
            for item, fields in zip(batch.items, predictions, strict=True)
        ]
    except (KeyError, TypeError, ValidationError) as error:
        fault = _unexpected(response, f"its fields are not those of /predict: {_first(error)}")
    raise fault


def models_of(response: Received) -> ServedModels:
    """Return the result of a response to GET /models.

    Raises:
        ProblemError: The response is a problem.
        UnexpectedResponseError: The response is none of the service.
    """
    if response.status != HTTPStatus.OK:
        raise problem_error(response)
    try:
        return ServedModels.model_validate(_json_object(response))
    except ValidationError as error:
        fault = _unexpected(response, f"its fields are not those of /models: {_first(error)}")
    raise fault


def is_healthy(response: Received) -> bool:
    """Return whether a health route answered 200; 503 is the answer of one that is not ready.

    Raises:
        ProblemError: The response is another problem.
        UnexpectedResponseError: The response is none of the service.
    """
    if response.status == HTTPStatus.OK:
        _json_object(response)
        return True
    if response.status in {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE}:
        return False
    raise problem_error(response)


def problem_error(response: Received, batch: ImageBatch | None = None) -> ClientError:
    """Return the error of a response whose status is none of success."""
    try:
        body = _json_object(response)
        index = (body.get("image") or {}).get("index")
        problem = ProblemFields(
            type=str(body["type"]),
            title=str(body["title"]),
            status=response.status,
            detail=str(body["detail"]),
            request_id=str(body["request_id"]),
            retry_after_s=retry_after_s(response.headers),
            image_index=index if type(index) is int and index >= 0 else None,
            attempts=response.attempts,
        )
    except (AttributeError, KeyError, UnexpectedResponseError):
        return _unexpected(response, _redirected(response))
    slug = problem.type.removeprefix(_PREFIX)
    index = problem.image_index
    if slug == BODY_TOO_LARGE and batch and len(batch) == 1:
        item = batch.items[0]
        return ImageBodyTooLargeError(problem, index=item.index, name=item.name)
    if slug in IMAGE_PROBLEMS and batch and index is not None and index < len(batch):
        item = batch.items[index]
        return IMAGE_PROBLEMS[slug](problem, index=item.index, name=item.name)
    return PROBLEMS.get(slug, ProblemError)(problem)


def received(
    outcome: Received | Fault, deadline: RequestDeadline, url: str, *, attempts: int
) -> Received:
    """Return the response of a request whose outcome is final.

    Raises:
        ServiceUnreachableError: There is none.
        ResponseTimeoutError: There is none, because the deadline ended.
    """
    if isinstance(outcome, Received):
        return replace(outcome, attempts=attempts)
    tries = after_attempts(attempts)
    if outcome.timed_out:
        raise ResponseTimeoutError(
            f"{url}: no response within {deadline.seconds:g} s{tries} ({outcome.text})"
        )
    raise ServiceUnreachableError(f"{url}: {outcome.text}{tries}")


def fault_of_head(headers: Mapping[str, str]) -> Fault | None:
    """Return the fault of a compressed response, which may expand to any size; None if it is not.

    The client accepts none, and the service sends none.
    """
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding in {"", "identity"}:
        return None
    return Fault(
        f"the response has the Content-Encoding {encoding[:32]!r}, expected none", retried=False
    )


def fault_of_body(received: int, deadline: RequestDeadline) -> Fault | None:
    """Return the fault of a body that takes too long or is too large; None if there is none."""
    if deadline.remaining_s() == 0:
        return Fault("the response is not complete", retried=False, timed_out=True)
    if received > MAX_RESPONSE_BYTES:
        return Fault(f"the response has more than {MAX_RESPONSE_BYTES} bytes", retried=False)
    return None


def _json_object(response: Received) -> Mapping[str, Any]:
    try:
        body = json.loads(response.body)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise _unexpected(response, "the body is not a JSON object")
    return body


def _first(error: Exception) -> str:
    """Describe the first invalid field in one line."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(str(each) for each in first['loc'])}: {first['msg']}"


def _redirected(response: Received) -> str:
    """State where a redirect leads: none is followed, so that a key is sent to no other host."""
    if location := response.headers.get("location"):
        return f"it redirects to {location[:256]!r}, expected the URL of the service itself"
    return "it is no problem (RFC 9457). Is this the URL of the service?"


def _unexpected(response: Received, reason: str) -> UnexpectedResponseError:
    tries = after_attempts(response.attempts)
    text = f"unexpected response with status {response.status}{tries}: {reason}"
    return UnexpectedResponseError(text, status=response.status)
