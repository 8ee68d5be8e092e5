"""The ways in which a request cannot be answered.

    GuardError (models.errors)
    `- RequestError
       |- UnsupportedContent   a content type or encoding that is not taken
       |- BodyTooLarge         more bytes than the limit
       |- TooManyImages        more images than the limit
       |- MalformedBody        a body that breaks the rules of its own format
       |- WrongFields          a well-formed body that does not say what was asked for
       |- InvalidImage         one image of the request, with its place in it
       |- KeyMissing           no key came where one is wanted
       |- KeyUnknown           a key came that is not in force
       |- RoleMissing          the key has not the role that is wanted
       |- RateLimited          the key has asked too often
       |- UnknownModel         no model of that name or version is served
       |- BundleRejected        a reload met a bundle that cannot be served
       |- Overloaded           as many requests in flight as allowed
       |- ClientDisconnected           the client hung up before it had its answer
       |- NotReady             starting or draining
       `- DeadlineExceeded     not answered in time

What each becomes over HTTP is written in one place: `service.http.problems`.
"""

from typing import Literal, TypeAlias

from oodguard.models.errors import GuardError, ImageError


class SamplingError(GuardError):
    """The settings ask for samples in a place that cannot be had."""


class SampleStoreError(GuardError):
    """A store did not do what it was asked; the next time it may."""


class KeyFileError(GuardError):
    """Keys that cannot be used; the message names the place, and never tells what stood there."""


class AdminWithoutKeys(KeyFileError):
    """The admin routes are asked for, and no key has the role admin."""


class TracingError(GuardError):
    """The OTEL_* variables ask for traces that this process cannot send."""


class DriftStateError(GuardError):
    """A saved state that is damaged or of another test; the message says which and the way out."""


ShedReason: TypeAlias = Literal["overloaded", "late", "gone", "not-ready"]
"""Why a request was not judged though nothing was wrong with it."""

DenialReason: TypeAlias = Literal["no-key", "unknown-key", "role", "rate"]
"""Why somebody was not let in."""


class RequestError(GuardError):
    """A request that cannot be answered."""


class UnsupportedContent(RequestError):
    """A content type or encoding that is not taken."""


class BodyTooLarge(RequestError):
    """A body of more bytes than the limit."""


class TooManyImages(RequestError):
    """More images in one request than the limit."""


class MalformedBody(RequestError):
    """A body that breaks the rules of its own format."""


class WrongFields(RequestError):
    """A well-formed body or header that does not say what was asked for."""


class InvalidImage(RequestError):
    """One image of a request that cannot be judged.

    Attributes:
        cause: What is wrong with the image.
        index: Its place in the request, from 0.
        name: The file name that the client gave, if any.
    """

    def __init__(self, cause: ImageError, *, index: int, name: str | None) -> None:
        named = f" ({name})" if name else ""
        super().__init__(f"image {index}{named}: {cause}")
        self.cause = cause
        self.index = index
        self.name = name


class KeyMissing(RequestError):
    """No key came where one is wanted."""


class KeyUnknown(RequestError):
    """A key came that is not in force."""


class RoleMissing(RequestError):
    """The key has not the role that is wanted.

    Attributes:
        role: That role.
    """

    def __init__(self, message: str, *, role: str) -> None:
        super().__init__(message)
        self.role = role


class RateLimited(RequestError):
    """The key has asked too often.

    Attributes:
        retry_after_s: In how many seconds it may ask again.
    """

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class UnknownModel(RequestError):
    """No model of that name or version is served."""


class BundleRejected(RequestError):
    """A reload met a bundle that cannot be served."""


class ClientDisconnected(RequestError):
    """The client hung up before it had its answer."""


class Overloaded(RequestError):
    """As many requests in flight as allowed."""


class NotReady(RequestError):
    """The service is starting or draining."""


class DeadlineExceeded(RequestError):
    """The request was not answered in time."""
