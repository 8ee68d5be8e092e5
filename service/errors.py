"""The errors of the service.

    GuardError (models.errors)
    |- RequestError             a request that is rejected
    |  |- UnsupportedContent    unsupported content type or content encoding
    |  |- BodyTooLarge          body larger than the limit
    |  |- BodyTooSlow           body sent too slowly
    |  |- TooManyImages         more images than the limit
    |  |- MalformedBody         body that violates its own format
    |  |- WrongFields           well-formed body or header with unexpected content
    |  |- InvalidImage          one image of the request, with its index
    |  |- KeyMissing            no API key
    |  |- KeyUnknown            invalid or revoked API key
    |  |- RoleMissing           API key without the role that the route requires
    |  |- RateLimited           API key above its rate limit
    |  |- RouteNotFound         path without a route
    |  |- UnknownModel          no such model or version
    |  |- BundleRejected        reload of a bundle or a policy that cannot be used
    |  |- DriftNotReset         drift evidence that cannot be reset
    |  |- Overloaded            concurrency limit reached
    |  |- ClientDisconnected    client closed the connection before the response
    |  |- NotReady              process is starting or draining
    |  `- DeadlineExceeded      no response in time
    |- KeyFileError             API keys that cannot be read
    |  `- AdminWithoutKeys      admin routes enabled, but no key has the role admin
    |- UnreadableFile           file of the operator that cannot be read
    |- ServiceUnavailable       service that a command calls and that does not answer
    |- MemoryLimitError         settings that need more memory than the process may have
    |- SamplingError            sampling settings that cannot be used
    |- SampleStoreError         failed operation of a sample store
    |- ScoringError             folder of verdicts that cannot be written or continued
    |- TracingError             OTEL_* variables that cannot be used
    |- PolicyError              policy.toml that cannot be used
    `- DriftStateError          saved drift state that cannot be used

`service.api.problems` maps each RequestError to its HTTP response.
"""

from typing import ClassVar, Literal, TypeAlias

from oodguard.command_line.exit_codes import ExitCode
from oodguard.models.errors import GuardError, ImageError

ShedReason: TypeAlias = Literal["overloaded", "late", "gone"]
"""Why a valid request was not predicted; a label of the metric oodguard_shed_total."""

DenialReason: TypeAlias = Literal["no-key", "unknown-key", "role", "rate"]
"""Why access was denied; a label of the metric oodguard_denied_total."""


class MemoryLimitError(GuardError):
    """The settings need more memory than the process may have."""


class CapacityError(GuardError):
    """Costs cannot be read, or no number of replicas meets the limit."""


class CapacityOptionError(CapacityError):
    """An option of `oodguard capacity` is missing or invalid."""

    exit_code: ClassVar[ExitCode] = ExitCode.USAGE


class ServiceUnavailable(GuardError):
    """The service that a command calls cannot be reached, or may answer later."""

    exit_code: ClassVar[ExitCode] = ExitCode.UNREACHABLE


class UnreadableFile(GuardError):
    """A file of the operator is not a regular file, too large, or cannot be read."""


class SamplingError(GuardError):
    """The sampling settings name a store that cannot be used."""


class SampleStoreError(GuardError):
    """An operation of a sample store failed; a later one may succeed."""


class ScoringError(GuardError):
    """Verdicts on a source cannot be written to a folder, or those in it cannot be continued."""


class KeyFileError(GuardError):
    """API keys that cannot be read. The message gives the place and never the content."""


class AdminWithoutKeys(KeyFileError):
    """The admin routes are enabled, but no key has the role admin."""


class TracingError(GuardError):
    """The OTEL_* variables request traces that this process cannot export."""


class PolicyError(GuardError):
    """policy.toml is invalid, or does not match the served models."""


class DriftStateError(GuardError):
    """A saved drift state is damaged or belongs to another test."""


class RequestError(GuardError):
    """A request that is rejected."""


class UnsupportedContent(RequestError):
    """The content type or content encoding is not supported."""


class BodyTooLarge(RequestError):
    """The body is larger than the limit."""


class BodyTooSlow(RequestError):
    """The body was not received in time, or at less than the minimum rate."""


class TooManyImages(RequestError):
    """The request has more images than the limit."""


class MalformedBody(RequestError):
    """The body violates the rules of its own format."""


class WrongFields(RequestError):
    """The body or a header is well-formed, but its content is not the expected one."""


class InvalidImage(RequestError):
    """One image of the request is invalid.

    Attributes:
        cause: The error of the image.
        index: The image's index in the request, from 0.
        name: The file name that the client sent, if any.
    """

    def __init__(self, cause: ImageError, *, index: int, name: str | None) -> None:
        named = f" ({name})" if name else ""
        super().__init__(f"image {index}{named}: {cause}")
        self.cause = cause
        self.index = index
        self.name = name


class KeyMissing(RequestError):
    """The request has no API key, and the route requires one."""


class KeyUnknown(RequestError):
    """The API key is invalid or revoked."""


class RoleMissing(RequestError):
    """The API key does not have the role that the route requires.

    Attributes:
        role: The required role; None if the route declares no role and no key is sufficient.
    """

    def __init__(self, message: str, *, role: str | None) -> None:
        super().__init__(message)
        self.role = role


class RateLimited(RequestError):
    """The API key exceeded its rate limit.

    Attributes:
        retry_after_s: Seconds until the next request is allowed.
    """

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RouteNotFound(RequestError):
    """No route has the requested path."""


class UnknownModel(RequestError):
    """No model of that name or version is served."""


class BundleRejected(RequestError):
    """A reload found a bundle that cannot be served, or a policy.toml that cannot be used."""


class DriftNotReset(RequestError):
    """The drift evidence cannot be reset."""


class ClientDisconnected(RequestError):
    """The client closed the connection before it had its response."""


class Overloaded(RequestError):
    """The concurrency limit for requests, bytes or images is reached."""


class NotReady(RequestError):
    """The process is starting or draining."""


class DeadlineExceeded(RequestError):
    """The request was not answered in time."""


def drop_tracebacks(error: BaseException | None) -> None:
    """Drop the tracebacks of an error with which a request ends, and of its causes.

    Their frames refer to the request's job, and the job refers to the error: a reference cycle
    that keeps a whole body in memory until the next garbage collection.
    """
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
