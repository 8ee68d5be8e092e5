"""Models and verdicts as JSON-ready dictionaries, for HTTP responses and the command line.

In full detail, orjson serializes a Verdict itself, as an object of its fields.
"""

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

from oodguard.models.verdicts import Verdict
from oodguard.service.inference.model import LoadedModel

Json = dict[str, Any]

Detail: TypeAlias = Literal["full", "verdict"]
"""Level of detail. "verdict" omits what an attacker could use as an objective to optimize."""

# Few levels, so that a response hardly ranks images; the largest is at least every p-value.
COARSE_P_VALUES = (0.05, 0.1, 0.25, 0.5, 1.0)


def identity(model: LoadedModel) -> Json:
    """Return the model's name, version and manifest hash."""
    manifest = model.bundle.manifest
    return {"name": manifest.name, "version": manifest.version, "sha256": model.bundle.sha256}


def policy(model: LoadedModel, detail: Detail = "full", fdr: float | None = None) -> Json:
    """Return the decision policy; the threshold is included in full detail only.

    `fdr` is the false-discovery rate at which the images of a request were decided instead.
    """
    chosen = model.guard.policy
    fields: Json = {"score": chosen.score, "alpha": chosen.alpha, "delta": chosen.delta}
    if fdr is not None:
        fields["fdr"] = fdr
    return fields if detail == "verdict" else {**fields, "threshold": model.guard.threshold}


def bare_predictions(verdicts: Iterable[Verdict], alpha: float) -> list[Json]:
    """Return one object for each verdict, in order, without scores and with a coarse p-value."""
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
    """Return the smallest coarse level that is at least max(p_value, alpha).

    Rounding up keeps it a valid p-value: P(coarse <= t) <= t. Every rejected image has p <= alpha,
    so all rejected images have the same coarse value.
    """
    least = max(p_value, alpha)
    return next(level for level in COARSE_P_VALUES if level >= least)


def model_facts(model: LoadedModel, detail: Detail = "full") -> Json:
    """Return the manifest's public fields, the policy and the runtime settings of a model."""
    manifest = model.bundle.manifest
    fields = manifest.model_dump(mode="json", include={"created", "classes", "input", "scores"})
    return {
        **identity(model),
        **fields,
        "precision": manifest.precision,
        "policy": policy(model, detail),
        "calibration_images": len(model.bundle.calibration[model.guard.policy.score]),
        "providers": list(model.session.providers),
        "threads": model.session.threads,
        "training": manifest.training.model_dump(mode="json"),
    }
