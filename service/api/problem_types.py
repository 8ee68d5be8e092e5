"""The types of problems: slug, status, meaning and remedy. docs/http-api.md is made of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from oodguard.models.errors import GuardError, ImageTooLarge, UndecodableImage, UnsupportedImage
from oodguard.service import errors


@dataclass(frozen=True, kw_only=True, slots=True)
class ProblemType:
    """A stable type of problem; `slug` is the end of its `type` and its anchor in the docs.

    Other statuses of the HTTP layer have no meaning and no remedy of their own.
    """

    slug: str
    status: int
    meaning: str = ""
    remedy: str = ""


PROBLEM_TYPES: Mapping[type[GuardError], ProblemType] = {
    UndecodableImage: ProblemType(
        slug="undecodable-image",
        status=400,
        meaning="The data are not an image, truncated, empty, or not base64.",
        remedy="Send a JPEG, PNG or WebP, complete and as binary data or standard base64.",
    ),
    errors.MalformedBody: ProblemType(
        slug="malformed-body",
        status=400,
        meaning=(
            "The body violates the rules of its format: JSON that does not parse, multipart "
            "without a boundary or without an end."
        ),
        remedy="Correct the body; the detail names the place.",
    ),
    errors.KeyMissing: ProblemType(
        slug="key-missing",
        status=401,
        meaning=(
            "The request has no key in `Authorization: Bearer`, and one is required. Paths that "
            "do not exist return the same problem."
        ),
        remedy="Send `Authorization: Bearer` with a key of the operator.",
    ),
    errors.KeyUnknown: ProblemType(
        slug="key-unknown",
        status=401,
        meaning=(
            "The key is invalid or revoked: mistyped, removed from the file, or of another service."
        ),
        remedy="Ask the operator for an active key.",
    ),
    errors.RoleMissing: ProblemType(
        slug="role-missing",
        status=403,
        meaning=(
            "The key is active and does not have the role that the route requires; `detail` and "
            "the `scope` in `WWW-Authenticate` name the role."
        ),
        remedy="Use a key with that role.",
    ),
    errors.RouteNotFound: ProblemType(
        slug="not-found",
        status=404,
        meaning="The path does not exist.",
        remedy="Compare the path with the table of routes.",
    ),
    errors.UnknownModel: ProblemType(
        slug="unknown-model",
        status=404,
        meaning=(
            "No model of that name, or no such version of it, is loaded; `detail` lists the "
            "loaded ones."
        ),
        remedy="Use a name of `GET /models`.",
    ),
    errors.BodyTooSlow: ProblemType(
        slug="request-timeout",
        status=408,
        meaning=(
            "The body was not complete within `OODGUARD_BODY_TIMEOUT_S`, or fewer than 10,000 "
            "bytes of it were received in 10 seconds. The connection is closed."
        ),
        remedy="Send smaller requests over a slow connection.",
    ),
    errors.BundleRejected: ProblemType(
        slug="bundle-refused",
        status=409,
        meaning=(
            "A reload found a bundle that cannot be served, or a policy.toml that cannot be used; "
            "`detail` states which one and why. The previous bundle is still served, the previous "
            "policy is in effect, and the other bundles were reloaded."
        ),
        remedy="Correct the bundle or the policy, and reload again.",
    ),
    ImageTooLarge: ProblemType(
        slug="image-too-large",
        status=413,
        meaning=(
            "The image has more pixels than `OODGUARD_MAX_PIXELS` (a WebP, or a CMYK JPEG of "
            "several scans: than five sixths of it, because decoding takes 12 instead of at most "
            "10 bytes a pixel), or a side of more than 65,535. This is read from the image's "
            "header, before anything is decoded."
        ),
        remedy="Scale the image down: the model reduces it anyway.",
    ),
    errors.BodyTooLarge: ProblemType(
        slug="body-too-large",
        status=413,
        meaning=(
            "The body has more bytes than `OODGUARD_MAX_BODY_BYTES`, by its `Content-Length` or "
            "as received."
        ),
        remedy="Send fewer images in a request, or smaller ones.",
    ),
    errors.TooManyImages: ProblemType(
        slug="too-many-images",
        status=413,
        meaning="The request has more images than `OODGUARD_MAX_IMAGES`.",
        remedy="Send them in several requests.",
    ),
    UnsupportedImage: ProblemType(
        slug="unsupported-image",
        status=415,
        meaning="The image is an animation, or has an unsupported format or pixel type.",
        remedy="Convert the image to a still JPEG, PNG or WebP of 8 bits.",
    ),
    errors.UnsupportedContent: ProblemType(
        slug="unsupported-content",
        status=415,
        meaning="The content type is none of the four forms above, or the body is compressed.",
        remedy="Use one of the four forms, without `Content-Encoding`.",
    ),
    errors.WrongFields: ProblemType(
        slug="wrong-fields",
        status=422,
        meaning=(
            "The body is well-formed but its content is not valid: a field other than `files` or "
            "`images`, a character that is not ASCII in more than 1 MiB of JSON, an `X-Shape` "
            "that is missing or does not match the body, an `X-Timeout-Ms` that is not a whole "
            "number, an X-FDR that is not valid; under `/v2` a tensor or an output that does not "
            "match the metadata."
        ),
        remedy="Correct the field that the detail names.",
    ),
    errors.Overloaded: ProblemType(
        slug="overloaded",
        status=429,
        meaning=(
            "As many requests, bytes or images are in flight as `OODGUARD_MAX_PENDING`, "
            "`OODGUARD_MAX_PENDING_BYTES` or `OODGUARD_MAX_PENDING_IMAGES` allow, in total or for "
            "one client (docs/settings.md#settings)."
        ),
        remedy="Retry after the seconds in `Retry-After`.",
    ),
    errors.RateLimited: ProblemType(
        slug="rate-limited",
        status=429,
        meaning=(
            "The key has sent more requests than its `requests_per_minute`. Earlier requests are "
            "rejected and do not count against the limit."
        ),
        remedy="Retry after the seconds in `Retry-After`.",
    ),
    errors.DriftNotReset: ProblemType(
        slug="drift-not-reset",
        status=503,
        meaning=(
            "The drift evidence was not reset, because the new state cannot be written or a "
            "process of the service does not answer in time; `detail` has the reason. The evidence "
            "of the named model is unchanged, unless `detail` states that it may be reset later."
        ),
        remedy=(
            "Correct the folder `OODGUARD_STATE` if the state cannot be written, and reset again."
        ),
    ),
    errors.NotReady: ProblemType(
        slug="not-ready",
        status=503,
        meaning=(
            "The service is starting or draining. While draining, only `GET /readyz` returns this "
            "problem; predictions are still answered."
        ),
        remedy="Retry after the seconds in `Retry-After`, or use another replica.",
    ),
    errors.DeadlineExceeded: ProblemType(
        slug="deadline-exceeded",
        status=504,
        meaning=(
            "There was no response within `OODGUARD_TIMEOUT_S`, or within the request's own "
            "`X-Timeout-Ms`, counted from the request's headers. Work that had not started is "
            "dropped."
        ),
        remedy="Retry later, with fewer images, or with a later deadline.",
    ),
}

METHOD_NOT_ALLOWED = ProblemType(
    slug="method-not-allowed",
    status=405,
    meaning="The path does not support this method; the header `Allow` lists the supported ones.",
    remedy="Use one of the methods in `Allow`.",
)

HEADERS_TOO_LARGE = ProblemType(
    slug="request-header-fields-too-large",
    status=431,
    meaning=(
        "The request line and headers have more than 65,536 bytes or 256 lines, the target (path "
        "and query) has more than 8,192 bytes, or the trailers or one chunk extension have more "
        "than 65,536 bytes. A connection that does not send its headers completely within ten "
        "seconds is closed, and so is one that does not finish a body within 30 seconds after its "
        "response. Trailers are ignored: they never have the effect of headers."
    ),
    remedy="Send fewer and shorter headers.",
)

INTERNAL_ERROR = ProblemType(
    slug="internal-error",
    status=500,
    meaning="The service failed. Its log has the cause under the `request_id`.",
    remedy="Report the `request_id` to the operator.",
)

ALL_TYPES = tuple(
    sorted(
        (*PROBLEM_TYPES.values(), METHOD_NOT_ALLOWED, HEADERS_TOO_LARGE, INTERNAL_ERROR),
        key=lambda each: each.status,
    )
)
