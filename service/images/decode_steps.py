"""Decode the images of a request in steps, between which others may be decoded."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oodguard.models.errors import ImageError
from oodguard.models.manifest import InputSpec
from oodguard.models.preprocessing import prepare
from oodguard.models.reasons import Size
from oodguard.service.errors import DeadlineExceeded, InvalidImage
from oodguard.service.images.decode import decode_image, fits
from oodguard.service.images.decode_memory import check_image_size, decode_bytes
from oodguard.service.images.header import EncodedImage
from oodguard.service.images.types import Payload, RequestLimits

STEP_BYTES = 16 * 2**20
"""Memory of the images of a step; an image that takes more, about one megapixel, is a step."""


class DecodeSteps:
    """Bring every image of a request to the model's input size.

    Args:
        payload: Encoded images, or raw pixels of any size.
        spec: The input size and the resize rule, from the manifest.
        limits: Limits of the request.
        stop: Called before each step; a true value ends decoding.

    Attributes:
        pixels: `(n, H, W, 3)` RGB; complete after the last step.
        memory: Bytes that the next step takes at most.
        is_large: Whether one of the images takes more than `STEP_BYTES`.
    """

    def __init__(
        self,
        payload: Payload,
        spec: InputSpec,
        limits: RequestLimits,
        stop: Callable[[], object],
    ) -> None:
        self._payload = payload
        self._spec = spec
        self._max_pixels = limits.max_pixels
        self._stop = stop
        self._done = 0
        if fits(payload, spec):
            self._sizes: list[int] = []
            self.pixels = payload
        else:
            self._sizes = [self._bytes(image) for image in payload]
            self.pixels = np.empty((len(payload), spec.height, spec.width, 3), np.uint8)
        self.is_large = max(self._sizes, default=0) > STEP_BYTES
        self._plan()

    @property
    def file_sizes(self) -> list[Size] | None:
        """The width and height in the headers of the images; None for raw pixels."""
        if isinstance(self._payload, np.ndarray):
            return None
        return [(image.header.width, image.header.height) for image in self._payload]

    @property
    def finished(self) -> bool:
        """Whether all images are decoded."""
        return self._done == len(self._sizes)

    def step(self) -> None:
        """Decode the images of the next step.

        Raises:
            InvalidImage: The first image that cannot be decoded, with its index.
            DeadlineExceeded: `stop` returned a true value.
        """
        if self._stop():
            raise DeadlineExceeded(
                f"the request ended after {self._done} of {len(self._payload)} images were decoded"
            )
        for index in range(self._done, self._end):
            image = self._payload[index]
            try:
                self.pixels[index] = self._decode(image)
            except ImageError as error:
                name = image.name if isinstance(image, EncodedImage) else None
                raise InvalidImage(error, index=index, name=name) from error
        self._done = self._end
        self._plan()

    def _decode(self, image: EncodedImage | NDArray[np.uint8]) -> NDArray[np.uint8]:
        if isinstance(image, EncodedImage):
            return decode_image(image, self._spec, max_pixels=self._max_pixels)
        return prepare(Image.fromarray(image), self._spec)

    def _plan(self) -> None:
        """Find the images of the next step."""
        self.memory, self._end = 0, self._done
        for size in self._sizes[self._done :]:
            if self._end > self._done and self.memory + size > STEP_BYTES:
                break
            self.memory += size
            self._end += 1

    def _bytes(self, image: EncodedImage | NDArray[np.uint8]) -> int:
        """Return the memory of decoding an image; 0: its header is rejected at once."""
        try:
            if isinstance(image, EncodedImage):
                check_image_size(image.header, self._max_pixels)
            return decode_bytes(image, self._spec)
        except ImageError:
            return 0
