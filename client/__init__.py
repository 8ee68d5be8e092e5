"""The client of the service: `Client`, and `AsyncClient` for asyncio.

    from oodguard.client import Client

    with Client("http://localhost:8000") as client:
        for result in client.predict_many(["ship.png", "hand.png"]):
            print(result.name, result.label, result.decision)

It requires the extra `client` and imports nothing else of OOD Guard.
"""

try:
    import httpx2 as _httpx2  # noqa: F401 - only to name the extra
except ModuleNotFoundError as error:
    raise ImportError(
        'oodguard.client requires httpx2, which is not installed. Install the "client" extra:'
        " pip install -e '.[client]' in the clone of OOD Guard",
        name="httpx2",
    ) from error

from oodguard.client.async_client import AsyncClient
from oodguard.client.errors import (
    BodyTooLargeError,
    BundleRefusedError,
    ClientError,
    DeadlineExceededError,
    DriftNotResetError,
    ImageBodyTooLargeError,
    ImageProblemError,
    ImageTooLargeError,
    InternalError,
    InvalidImageError,
    KeyMissingError,
    KeyUnknownError,
    MalformedBodyError,
    MethodNotAllowedError,
    NotFoundError,
    NotReadyError,
    OverloadedError,
    ProblemError,
    ProblemFields,
    RateLimitedError,
    RequestHeaderFieldsTooLargeError,
    RequestTimeoutError,
    ResponseTimeoutError,
    RoleMissingError,
    ServiceUnreachableError,
    TooManyImagesError,
    UndecodableImageError,
    UnexpectedResponseError,
    UnknownModelError,
    UnreadableImageError,
    UnsupportedContentError,
    UnsupportedImageError,
    WrongFieldsError,
)
from oodguard.client.images import ImageSource
from oodguard.client.results import (
    AnsweringModel,
    ImageResult,
    ModelInput,
    RejectionReason,
    ServedClass,
    ServedModel,
    ServedModels,
    ServedPolicy,
    ShadowModel,
)
from oodguard.client.sync_client import Client

__all__ = [
    "AnsweringModel",
    "AsyncClient",
    "BodyTooLargeError",
    "BundleRefusedError",
    "Client",
    "ClientError",
    "DeadlineExceededError",
    "DriftNotResetError",
    "ImageBodyTooLargeError",
    "ImageProblemError",
    "ImageResult",
    "ImageSource",
    "ImageTooLargeError",
    "InternalError",
    "InvalidImageError",
    "KeyMissingError",
    "KeyUnknownError",
    "MalformedBodyError",
    "MethodNotAllowedError",
    "ModelInput",
    "NotFoundError",
    "NotReadyError",
    "OverloadedError",
    "ProblemError",
    "ProblemFields",
    "RateLimitedError",
    "RejectionReason",
    "RequestHeaderFieldsTooLargeError",
    "RequestTimeoutError",
    "ResponseTimeoutError",
    "RoleMissingError",
    "ServedClass",
    "ServedModel",
    "ServedModels",
    "ServedPolicy",
    "ServiceUnreachableError",
    "ShadowModel",
    "TooManyImagesError",
    "UndecodableImageError",
    "UnexpectedResponseError",
    "UnknownModelError",
    "UnreadableImageError",
    "UnsupportedContentError",
    "UnsupportedImageError",
    "WrongFieldsError",
]
