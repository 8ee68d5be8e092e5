"""Everything that OOD Guard raises on purpose.

GuardError
|- ImageError            a picture that cannot be judged
|  |- UndecodableImage     not an image, truncated or empty
|  |- ImageTooLarge        more pixels than the limit, known from the header
|  `- UnsupportedImage     a format or kind that is not taken
|- BundleError           a bundle that cannot be trusted
|- CalibrationError      too few calibration scores for the asked alpha and delta
|- RecipeError           a recipe that cannot be followed
|- CheckpointError       a checkpoint that cannot be written or gone on from
|- ClassifierError       a given classifier that cannot be wrapped
`- ParityError           a graph and what it was made from disagree

Every message says what came, what was wanted and, where there is one, the way out.
"""


class GuardError(Exception):
    """The root: catching it catches everything below and nothing else."""


class ImageError(GuardError):
    """A picture that cannot be judged."""


class UndecodableImage(ImageError):
    """Bytes that are not an image, or stop in the middle of one."""


class ImageTooLarge(ImageError):
    """An image whose header promises more pixels than the limit."""


class UnsupportedImage(ImageError):
    """An image of a format or kind that is not taken, such as an animation."""


class BundleError(GuardError):
    """A bundle that cannot be trusted; the message names the file and what to do."""


class CalibrationError(GuardError):
    """Calibration that cannot carry the asked guarantee; the message says what would."""


class RecipeError(GuardError):
    """A recipe that cannot be followed; the message names the key and what was wanted."""


class ClassifierError(GuardError):
    """Somebody's classifier that cannot be wrapped; the message says what it is and what would."""


class CheckpointError(GuardError):
    """A checkpoint that the disk does not take, or that is of another network."""


class ParityError(GuardError):
    """A graph that answers differently from what it was made from."""
