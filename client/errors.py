"""The errors of the client.

    ClientError
    |- ServiceUnreachableError      no connection, or one that was closed before the response
    |- ResponseTimeoutError         no response within the deadline
    |- UnexpectedResponseError      a response that is none of the service, such as a proxy's
    |- InvalidImageError            one image that cannot be predicted, with its index and name
    |  `- UnreadableImageError      a file that cannot be read, or an object that cannot be sent
    `- ProblemError                 a problem (RFC 9457), of a type without a class below
       |- UndecodableImageError     400, also an InvalidImageError
       |- MalformedBodyError        400
       |- KeyMissingError           401
       |- KeyUnknownError           401
       |- RoleMissingError          403
       |- NotFoundError             404
       |- UnknownModelError         404
       |- MethodNotAllowedError     405
       |- RequestTimeoutError       408
       |- BundleRefusedError        409
       |- ImageTooLargeError        413, also an InvalidImageError
       |- BodyTooLargeError         413
       |  `- ImageBodyTooLargeError  413, of one image alone, also an InvalidImageError
       |- TooManyImagesError        413
       |- UnsupportedImageError     415, also an InvalidImageError
       |- UnsupportedContentError   415
       |- WrongFieldsError          422
       |- OverloadedError           429
       |- RateLimitedError          429
       |- RequestHeaderFieldsTooLargeError  431
       |- InternalError             500
       |- DriftNotResetError        503
       |- NotReadyError             503
       `- DeadlineExceededError     504, also a ResponseTimeoutError

A problem's class has the name of its type: `/problems/rate-limited` is a `RateLimitedError`. No
error refers to the request or to the HTTP library's error, which contain the API key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


class ClientError(Exception):
    """The base class of all errors below. They can be pickled, for example by process pools."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Restore the fields: the arguments of the classes differ from their texts."""
        return _restored, (type(self), self.args, vars(self))


def after_attempts(count: int) -> str:
    """Return how often a request was sent, for the end of a text; nothing if it was sent once."""
    return f", after {count:,} attempts" if count > 1 else ""


def _restored(
    kind: type[ClientError], args: tuple[object, ...], fields: Mapping[str, object]
) -> ClientError:
    error = kind.__new__(kind)
    error.args = args
    vars(error).update(fields)
    return error


class ServiceUnreachableError(ClientError):
    """There is no connection, or it was closed before the response, until the deadline."""


class ResponseTimeoutError(ClientError):
    """There was no response within the deadline."""


class UnexpectedResponseError(ClientError):
    """A response that is none of the service, such as the error page of a proxy.

    Attributes:
        status: Its HTTP status.
    """

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class InvalidImageError(ClientError):
    """One image cannot be predicted.

    Attributes:
        index: The image's index in the input, from 0.
        name: Its path, or `images[INDEX]`.
        reason: Why it cannot be predicted; the text of the error begins with the name.
    """

    index: int
    name: str
    reason: str


class UnreadableImageError(InvalidImageError):
    """A file that cannot be read, or an object that is no image; nothing was sent."""

    def __init__(self, message: str, *, index: int, name: str) -> None:
        super().__init__(f"{name}: {message}")
        self.index = index
        self.name = name
        self.reason = message


@dataclass(frozen=True, kw_only=True, slots=True)
class ProblemFields:
    """The members of a problem and the headers that concern it.

    `retry_after_s` is None without a Retry-After. `image_index` is the index in the request.
    `attempts` is the number of requests that were sent; the others had no better answer.
    """

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    retry_after_s: float | None = None
    image_index: int | None = None
    attempts: int = 1


class ProblemError(ClientError):
    """The service answered with a problem (RFC 9457).

    Attributes:
        problem: The members of the problem.
    """

    def __init__(self, problem: ProblemFields, message: str | None = None) -> None:
        text = problem.detail if message is None else message
        super().__init__(f"{text} (request {problem.request_id}{after_attempts(problem.attempts)})")
        self.problem = problem


class ImageProblemError(ProblemError, InvalidImageError):
    """The service cannot process one image of a request. Use InvalidImageError to catch it."""

    def __init__(self, problem: ProblemFields, *, index: int, name: str) -> None:
        # The service counts from the first image of the request and does not know the name.
        reason = problem.detail.removeprefix(f"image {problem.image_index}: ")
        super().__init__(problem, f"{name}: {reason}")
        self.index = index
        self.name = name
        self.reason = reason


class UndecodableImageError(ImageProblemError):
    """The data are not an image, truncated or empty."""


class ImageTooLargeError(ImageProblemError):
    """The image has more pixels than the service allows."""


class UnsupportedImageError(ImageProblemError):
    """The image is an animation, or has an unsupported format or pixel type."""


class MalformedBodyError(ProblemError):
    """The body violates the rules of its format."""


class KeyMissingError(ProblemError):
    """The service requires an API key, and the client has none."""


class KeyUnknownError(ProblemError):
    """The API key is invalid or revoked."""


class RoleMissingError(ProblemError):
    """The API key does not have the required role."""


class NotFoundError(ProblemError):
    """The path does not exist."""


class UnknownModelError(ProblemError):
    """No model of that name or version is served."""


class MethodNotAllowedError(ProblemError):
    """The path does not support the method."""


class RequestTimeoutError(ProblemError):
    """The body was sent too slowly."""


class BundleRefusedError(ProblemError):
    """A reload found a bundle or a policy that cannot be used."""


class BodyTooLargeError(ProblemError):
    """The body has more bytes than the service allows."""


class ImageBodyTooLargeError(ImageProblemError, BodyTooLargeError):
    """One image alone has more bytes than the service allows."""


class TooManyImagesError(ProblemError):
    """The request has more images than the service allows."""


class UnsupportedContentError(ProblemError):
    """The content type or encoding is not supported."""


class WrongFieldsError(ProblemError):
    """The content of the body or of a header is not valid."""


class OverloadedError(ProblemError):
    """The service has as much work as it accepts."""


class RateLimitedError(ProblemError):
    """The API key exceeded its rate limit."""


class RequestHeaderFieldsTooLargeError(ProblemError):
    """The request line or the headers are too large."""


class InternalError(ProblemError):
    """The service failed; its log has the cause under the request id."""


class DriftNotResetError(ProblemError):
    """The drift evidence cannot be reset."""


class NotReadyError(ProblemError):
    """The service is starting or draining."""


class DeadlineExceededError(ProblemError, ResponseTimeoutError):
    """The service had no response within its own timeout, or within the deadline of the client."""


BODY_TOO_LARGE = "body-too-large"

IMAGE_PROBLEMS: Mapping[str, type[ImageProblemError]] = MappingProxyType(
    {
        "undecodable-image": UndecodableImageError,
        "image-too-large": ImageTooLargeError,
        "unsupported-image": UnsupportedImageError,
    }
)

PROBLEMS: Mapping[str, type[ProblemError]] = MappingProxyType(
    {
        "malformed-body": MalformedBodyError,
        "key-missing": KeyMissingError,
        "key-unknown": KeyUnknownError,
        "role-missing": RoleMissingError,
        "not-found": NotFoundError,
        "unknown-model": UnknownModelError,
        "method-not-allowed": MethodNotAllowedError,
        "request-timeout": RequestTimeoutError,
        "bundle-refused": BundleRefusedError,
        BODY_TOO_LARGE: BodyTooLargeError,
        "too-many-images": TooManyImagesError,
        "unsupported-content": UnsupportedContentError,
        "wrong-fields": WrongFieldsError,
        "overloaded": OverloadedError,
        "rate-limited": RateLimitedError,
        "request-header-fields-too-large": RequestHeaderFieldsTooLargeError,
        "internal-error": InternalError,
        "drift-not-reset": DriftNotResetError,
        "not-ready": NotReadyError,
        "deadline-exceeded": DeadlineExceededError,
    }
)
"""The class of each problem that does not concern one image, by the end of its type."""
