"""OOD Guard: hardened image classifiers with calibrated out-of-distribution decisions.

    from oodguard import Guard

    guard = Guard.open("models/pretrained/cifar10-aloe")
    for verdict in guard(["ship.png", "hand.png"]):
        print(verdict.label, verdict.confidence, verdict.p_value, verdict.decision)

Importing this package imports none of its dependencies: each name is imported at its first use.
"""

from importlib import import_module

TYPE_CHECKING = False  # type checkers know the name, and the import of `typing` takes time
if TYPE_CHECKING:
    from oodguard.guard import Guard, ImageInput
    from oodguard.models.decision import Policy
    from oodguard.models.errors import (
        BundleError,
        CalibrationError,
        DeviceError,
        GuardError,
        ImageError,
        ImageTooLarge,
        UndecodableImage,
        UnsupportedImage,
    )
    from oodguard.models.manifest import Manifest
    from oodguard.models.reasons import Reason
    from oodguard.models.verdicts import Verdict
    from oodguard.service.scoring.scorer import Scorer

__all__ = [
    "BundleError",
    "CalibrationError",
    "DeviceError",
    "Guard",
    "GuardError",
    "ImageError",
    "ImageInput",
    "ImageTooLarge",
    "Manifest",
    "Policy",
    "Reason",
    "Scorer",
    "UndecodableImage",
    "UnsupportedImage",
    "Verdict",
]

_MODULES = {
    "Guard": "guard",
    "ImageInput": "guard",
    "Manifest": "models.manifest",
    "Policy": "models.decision",
    "Reason": "models.reasons",
    "Scorer": "service.scoring.scorer",
    "Verdict": "models.verdicts",
}


def __getattr__(name: str) -> object:
    """Import a public name at its first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'models.errors')}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
