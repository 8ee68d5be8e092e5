"""What is said of a model and its verdicts, as plain data: over HTTP and on the command line."""

from collections.abc import Iterable
from typing import Any

from models.guard import Verdict
from service.served import ServedModel

Json = dict[str, Any]


def identity(model: ServedModel) -> Json:
    """Which model answers."""
    manifest = model.bundle.manifest
    return {"name": manifest.name, "version": manifest.version, "sha256": model.bundle.sha256}


def policy(model: ServedModel) -> Json:
    """The line between accept and reject."""
    chosen = model.guard.policy
    return {
        "score": chosen.score,
        "alpha": chosen.alpha,
        "delta": chosen.delta,
        "threshold": model.guard.threshold,
    }


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


def facts(model: ServedModel) -> Json:
    """All that a bundle says of itself, and how it is served."""
    manifest = model.bundle.manifest
    said = manifest.model_dump(mode="json", include={"created", "classes", "input", "scores"})
    return {
        **identity(model),
        **said,
        "policy": policy(model),
        "calibration_images": len(model.bundle.calibration[model.guard.policy.score]),
        "providers": list(model.engine.providers),
        "threads": model.engine.threads,
        "training": manifest.training.model_dump(mode="json"),
    }
