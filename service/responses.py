"""Models and verdicts as JSON-ready dictionaries, for HTTP responses and the command line.

In full detail, orjson serializes a Verdict itself, as an object of its fields.
"""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Literal, TypeAlias

from oodguard.models.class_rejections import class_rejections
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
    """Return the decision policy: the promises in use, and in full detail the threshold.

    The threshold is None if it depends on the predicted class. `fdr` is the false-discovery rate at
    which the images of a request were decided instead.
    """
    chosen, unkept_beta = model.guard.policy, model.guard.thresholds.unkept_beta
    fields: Json = {"score": chosen.score, "alpha": chosen.alpha, "delta": chosen.delta}
    if chosen.by_class:
        fields["by_class"] = True
    if chosen.under_attack is not None:
        fields |= {"under_attack": chosen.under_attack, "attack": model.bundle.manifest.attack_text}
    if chosen.beta is not None:
        fields["beta"] = chosen.beta
    if unkept_beta is not None:
        fields["reachable_beta"] = unkept_beta.reachable_beta
    if fdr is not None:
        fields["fdr"] = fdr
    return fields if detail == "verdict" else {**fields, "threshold": model.guard.threshold}


def bare_predictions(verdicts: Iterable[Verdict], level: float) -> list[Json]:
    """Return one object for each verdict, in order, without scores and with a coarse p-value.

    `level` is the largest p-value of a rejected image.
    """
    return [
        {
            "label": verdict.label,
            "class_id": verdict.class_id,
            "p_value": coarse_p_value(verdict.p_value, level),
            "decision": verdict.decision,
        }
        for verdict in verdicts
    ]


def coarse_p_value(p_value: float, level: float) -> float:
    """Return the smallest coarse p-value that is at least max(p_value, level).

    Rounding up keeps it a valid p-value: P(coarse <= t) <= t. Every rejected image has
    p <= `level`, so all rejected images have the same coarse value.
    """
    least = max(p_value, level)
    return next(coarse for coarse in COARSE_P_VALUES if coarse >= least)


def by_class(model: LoadedModel) -> list[Json]:
    """Return the false rejections of the calibration images by predicted class, if it is known."""
    manifest, guard = model.bundle.manifest, model.guard
    found = class_rejections(
        model.bundle.rows, guard.thresholds, score=guard.policy.score, classes=manifest.classes
    )
    return [asdict(each) for each in found]


def _calibration_facts(model: LoadedModel, detail: Detail) -> Json:
    """Return who calibrated on what, and the attack; clients of the lesser detail do not see it."""
    keys = ("calibration", "calibration_attack")
    known = model.bundle.manifest.model_dump(mode="json", include=set(keys))
    return {key: known.get(key) if detail == "full" else None for key in keys}


def model_facts(model: LoadedModel, detail: Detail = "full") -> Json:
    """Return the manifest's public fields, the policy and the runtime settings of a model."""
    manifest = model.bundle.manifest
    fields = manifest.model_dump(mode="json", include={"created", "classes", "input", "scores"})
    return {
        **identity(model),
        **fields,
        "precision": manifest.precision,
        "policy": policy(model, detail),
        "calibration_images": len(model.guard.thresholds.pool.calibration),
        "by_class": by_class(model) if detail == "full" else [],
        "limitations": model.guard.limitations,
        **_calibration_facts(model, detail),
        "providers": list(model.session.providers),
        "threads": model.session.threads,
        "training": manifest.training.model_dump(mode="json"),
    }
