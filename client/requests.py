"""Pack images into requests of a bounded size.

The images of a request have one form: encoded images are sent as multipart files, one alone as the
body, and arrays of one shape as raw pixels. Another form or shape starts another request.
"""

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from oodguard.client.errors import UnreadableImageError
from oodguard.client.images import Content, ImageSource, as_png, name_of, read

MAX_IMAGES = 64
"""The most images of a request: one run of the model by the service's default."""

MAX_BYTES = 8 * 2**20
"""The most bytes of the images of a request: half of what the service accepts by default. A larger
image is sent alone."""

_BYTES_PER_FILE = 128
"""More than what a multipart body has in addition to each file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One image of a request, and its place in the input."""

    index: int
    name: str
    content: Content

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape of the pixels, None of an encoded image: the images of a request share it."""
        return None if isinstance(self.content, bytes) else self.content.shape

    @property
    def size(self) -> int:
        """The number of bytes in a body, at most."""
        content = self.content
        return len(content) + _BYTES_PER_FILE if isinstance(content, bytes) else content.nbytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """The model that predicts, and the false-discovery rate of a request, if any."""

    model: str | None = None
    version: str | None = None
    fdr: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("model", self.model), ("version", self.version)):
            # As segments of a path, the dots would lead to another model.
            if value in {"", ".", ".."}:
                raise ValueError(f"{name} is {value!r}, expected that of a served model")
        if self.version is not None and self.model is None:
            raise ValueError(f"version is {self.version!r} and model is None, expected a model too")

    @property
    def path(self) -> str:
        """The path of the route."""
        if self.model is None:
            return "/predict"
        version = "" if self.version is None else f"/versions/{quote(self.version, safe='')}"
        return f"/models/{quote(self.model, safe='')}{version}/predict"


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageBatch:
    """The images of one request, of one form, with at least one image."""

    items: Sequence[Item]
    target: Target
    request_id: str

    def __len__(self) -> int:
        return len(self.items)

    @property
    def size(self) -> int:
        """The number of bytes of the body, at most."""
        return sum(each.size for each in self.items)

    def halves(self) -> tuple["ImageBatch", "ImageBatch"]:
        """Divide the images among two requests."""
        middle = len(self) // 2
        return self._with(self.items[:middle]), self._with(self.items[middle:])

    def without(self, position: int) -> "ImageBatch | None":
        """Return the request without one image, or None if it is the only one."""
        rest = [*self.items[:position], *self.items[position + 1 :]]
        return self._with(rest) if rest else None

    def _with(self, items: Sequence[Item]) -> "ImageBatch":
        return ImageBatch(items=items, target=self.target, request_id=self.request_id)

    def encode(self) -> tuple[Mapping[str, str], bytes]:
        """Return the headers and the body."""
        headers = {"X-Request-Id": self.request_id}
        if self.target.fdr is not None:
            headers["X-FDR"] = np.format_float_positional(self.target.fdr, trim="0")
        encoded = [each.content for each in self.items if isinstance(each.content, bytes)]
        if not encoded:
            shape = ",".join(str(side) for side in (len(self), *(self.items[0].shape or ())))
            headers |= {"Content-Type": "application/octet-stream", "X-Shape": shape}
            return headers, b"".join(np.asarray(each.content).data for each in self.items)
        if len(encoded) == 1:
            return headers | {"Content-Type": _media_type(encoded[0])}, encoded[0]
        return _form(headers, encoded)


@dataclass(kw_only=True, slots=True)
class Packer:
    """Collects images, and yields a batch when the next image does not fit into it."""

    target: Target
    request_id: str | None = None
    max_images: int = MAX_IMAGES
    max_bytes: int = MAX_BYTES
    _open: list[Item] = field(default_factory=list)
    _bytes: int = 0
    _count: int = 0
    _batches: int = 0

    def add(self, images: Iterable[ImageSource]) -> Iterator[ImageBatch | UnreadableImageError]:
        """Yield the full batches, and the error of each image that cannot be sent, in order.

        Raises:
            TypeError: An object is no image.
        """
        for image in images:
            index = self._count
            self._count += 1
            try:
                item = Item(index=index, name=name_of(image, index), content=read(image, index))
            except UnreadableImageError as error:
                yield from self.rest()
                yield error
                continue
            if self._open and (
                item.shape != self._open[0].shape or self._bytes + item.size > self.max_bytes
            ):
                yield from self.rest()
            self._open.append(item)
            self._bytes += item.size
            if len(self._open) >= self.max_images:
                yield from self.rest()

    def limit_images(self, count: int) -> None:
        """Put no more images into a request: the service accepts fewer than `max_images`."""
        self.max_images = min(self.max_images, count)

    def limit_bytes(self, count: int) -> None:
        """Put no more bytes into a request: the service accepts fewer than `max_bytes`."""
        self.max_bytes = min(self.max_bytes, count)

    def rest(self) -> Iterator[ImageBatch]:
        """Yield the batch that is not full, if it has an image."""
        if self._open:
            items, self._open, self._bytes = self._open, [], 0
            self._batches += 1
            given = self.request_id
            identifier = new_request_id() if given is None else f"{given}-{self._batches}"
            yield ImageBatch(items=items, target=self.target, request_id=identifier)


def single(image: ImageSource, target: Target, request_id: str | None) -> ImageBatch:
    """Return the request with one image.

    Raises:
        UnreadableImageError: The image cannot be sent.
        TypeError: The object is no image.
    """
    item = Item(index=0, name=name_of(image, 0), content=read(image, 0))
    return ImageBatch(items=[item], target=target, request_id=request_id or new_request_id())


def together(images: Iterable[ImageSource], target: Target, request_id: str | None) -> ImageBatch:
    """Return one request with all images; arrays of several shapes are encoded.

    Raises:
        UnreadableImageError: An image cannot be sent.
        TypeError: An object is no image.
        ValueError: There is no image.
    """
    items = [
        Item(index=index, name=name_of(image, index), content=read(image, index))
        for index, image in enumerate(images)
    ]
    if not items:
        raise ValueError("images is empty, expected at least one image")
    if len({each.shape for each in items}) > 1:
        items = [
            each if isinstance(each.content, bytes) else _encoded(each, each.content)
            for each in items
        ]
    return ImageBatch(items=items, target=target, request_id=request_id or new_request_id())


def new_request_id() -> str:
    """Return a random id: it also identifies a request whose response is lost."""
    return secrets.token_hex(16)


def _encoded(item: Item, pixels: NDArray[np.uint8]) -> Item:
    return Item(index=item.index, name=item.name, content=as_png(pixels))


def _media_type(encoded: bytes) -> str:
    """Return a type that the service accepts; it determines the format from the bytes."""
    if encoded.startswith(b"\x89PNG"):
        return "image/png"
    return "image/webp" if encoded.startswith(b"RIFF") else "image/jpeg"


def _form(headers: Mapping[str, str], files: Sequence[bytes]) -> tuple[Mapping[str, str], bytes]:
    """Return a multipart form. Names of files remain here: they may contain private paths."""
    boundary = secrets.token_hex(16)
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"\r\n\r\n'
    parts = [part for file in files for part in (head.encode(), file, b"\r\n")]
    body = b"".join([*parts, f"--{boundary}--\r\n".encode()])
    return {**headers, "Content-Type": f"multipart/form-data; boundary={boundary}"}, body
