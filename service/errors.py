"""The ways in which a request cannot be answered.

    GuardError (models.errors)
    `- RequestError
       |- UnsupportedContent   a content type or encoding that is not taken
       |- BodyTooLarge         more bytes than the limit
       |- TooManyImages        more images than the limit
       |- MalformedBody        a body that breaks the rules of its own format
       |- WrongFields          a well-formed body that does not say what was asked for
       |- ImageRefused         one image of the request, with its place in it
       |- Overloaded           as many requests in flight as allowed
       |- NotReady             starting or draining
       `- DeadlineExceeded     not answered in time

What each becomes over HTTP is written in one place: `service.problems`.
"""

from models.errors import GuardError, ImageError


class RequestError(GuardError):
    """A request that cannot be answered."""


class UnsupportedContent(RequestError):  # noqa: N818
    """A content type or encoding that is not taken."""


class BodyTooLarge(RequestError):  # noqa: N818
    """A body of more bytes than the limit."""


class TooManyImages(RequestError):  # noqa: N818
    """More images in one request than the limit."""


class MalformedBody(RequestError):  # noqa: N818
    """A body that breaks the rules of its own format."""


class WrongFields(RequestError):  # noqa: N818
    """A well-formed body or header that does not say what was asked for."""


class ImageRefused(RequestError):  # noqa: N818
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


class Overloaded(RequestError):  # noqa: N818
    """As many requests in flight as allowed."""


class NotReady(RequestError):  # noqa: N818
    """The service is starting or draining."""


class DeadlineExceeded(RequestError):  # noqa: N818
    """The request was not answered in time."""
