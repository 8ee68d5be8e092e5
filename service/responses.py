"""What is said of a model and its verdicts, as plain data: over HTTP and on the command line."""

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

from oodguard.models.verdicts import Verdict
from oodguard.service.inference.model import LoadedModel

Json = dict[str, Any]

Detail: TypeAlias = Literal["full", "verdict"]
"""How much is said: all, or nothing by which somebody could climb towards an accepted image."""

# As few levels as a reader can use, and none finer than what may be rejected.
COARSE_P_VALUES = (0.05, 0.1, 0.25, 0.5, 1.0)


def identity(model: LoadedModel) -> Json:
    """Which model answers."""
    manifest = model.bundle.manifest
    return {"name": manifest.name, "version": manifest.version, "sha256": model.bundle.sha256}


def policy(model: LoadedModel, detail: Detail = "full") -> Json:
    """The line between accept and reject; where it lies is told in full detail alone."""
    chosen = model.guard.policy
    said = {"score": chosen.score, "alpha": chosen.alpha, "delta": chosen.delta}
    return said if detail == "verdict" else {**said, "threshold": model.guard.threshold}


def predictions(verdicts: Iterable[Verdict]) -> list[Json]:
    """One object an image, in their order."""
    return [
        {
            "label": verdict.label,
            "class_id": verdict.class_id,
            "confidence": verdict.confidence,
            "scores": dict(verdict.scores),
            "p_value": verdict.p_value,
            "decision": verdict.decision,
        }
        for verdict in verdicts
    ]


def bare_predictions(verdicts: Iterable[Verdict], alpha: float) -> list[Json]:
    """One object an image, in their order, without score, confidence or exact p-value.

    Args:
        verdicts: The verdicts.
        alpha: The policy's alpha.
    """
    return [
        {
            "label": verdict.label,
            "class_id": verdict.class_id,
            "p_value": coarse_p_value(verdict.p_value, alpha),
            "decision": verdict.decision,
        }
        for verdict in verdicts
    ]


def coarse_p_value(p_value: float, alpha: float) -> float:
    """The least coarse level that is neither below the p-value nor below alpha.

    Rounded up, so that P(coarse <= t) <= t holds as it does for the p-value itself. All that is
    rejected has p <= alpha, so that no two rejected images are told apart.
    """
    least = max(p_value, alpha)
    return next(level for level in COARSE_P_VALUES if level >= least)


def facts(model: LoadedModel, detail: Detail = "full") -> Json:
    """All that a bundle says of itself, and how it is served."""
    manifest = model.bundle.manifest
    said = manifest.model_dump(mode="json", include={"created", "classes", "input", "scores"})
    return {
        **identity(model),
        **said,
        "policy": policy(model, detail),
        "calibration_images": len(model.bundle.calibration[model.guard.policy.score]),
        "providers": list(model.engine.providers),
        "threads": model.engine.threads,
        "training": manifest.training.model_dump(mode="json"),
    }
