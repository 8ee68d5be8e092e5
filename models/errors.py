"""The error tree of OOD Guard.

GuardError
|- ImageError            an image that cannot be processed
|  |- UndecodableImage     not an image, truncated or empty
|  |- ImageTooLarge        more pixels than the limit, by its header
|  `- UnsupportedImage     a format or kind that is not supported
|- BundleError           an invalid or altered bundle
|- DeviceError           a device that is unknown or not available
|- CalibrationError      too few calibration scores for alpha and delta
|  `- InvalidPolicy        an invalid rate, or promises that exclude each other
|- RecipeError           an invalid recipe
|- CheckpointError       a checkpoint that cannot be written or resumed
|- ClassifierError       a classifier that cannot be wrapped
`- ParityError           a graph whose outputs differ from its source

Every message states what is invalid, the received value, the expected value and the remedy.
"""


def install_hint(extra: str) -> str:
    """Return the remedy for a package that is missing because an extra is not installed."""
    return f"Install the \"{extra}\" extra: pip install -e '.[{extra}]' in the clone of OOD Guard"


class GuardError(Exception):
    """The base class of all errors below."""


class ImageError(GuardError):
    """An image that cannot be processed."""


class UndecodableImage(ImageError):
    """Bytes that are not an image, or a truncated image."""


class ImageTooLarge(ImageError):
    """An image whose header declares more pixels than the limit."""


class UnsupportedImage(ImageError):
    """An image of an unsupported format or kind, such as an animation."""


class BundleError(GuardError):
    """An invalid or altered bundle; the message names the file and the remedy."""


class DeviceError(GuardError):
    """A device of ONNX Runtime that is unknown or not available."""


class CalibrationError(GuardError):
    """Too few calibration scores for the guarantee; the message states the required number."""


class InvalidPolicy(CalibrationError):
    """A rate that is not above 0 and below 1, or promises that exclude each other."""


class RecipeError(GuardError):
    """An invalid recipe; the message names the key and the expected value."""


class ClassifierError(GuardError):
    """An existing classifier that cannot be wrapped."""


class CheckpointError(GuardError):
    """A checkpoint that cannot be written to the disk, or belongs to another network."""


class ParityError(GuardError):
    """A graph whose outputs differ from those of the network that it was exported from."""
