"""A bundle opened, verified and given a runtime: what server and command line judge with."""

from dataclasses import dataclass
from pathlib import Path

from oodguard.models.bundle import Bundle, open_bundle
from oodguard.models.decision import Policy
from oodguard.models.guard import Guard
from oodguard.service.inference.session import Engine
from oodguard.service.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class ServedModel:
    """One model with its bundle, its session and its line between accept and reject."""

    bundle: Bundle
    engine: Engine
    guard: Guard


def load(folder: Path, settings: Settings) -> ServedModel:
    """Open a bundle under the settings' policy.

    Raises:
        BundleError: The bundle cannot be trusted, or its graph is not what it says.
        CalibrationError: Too few calibration scores for alpha and delta.
        DeviceError: The device that the settings name is not there.
    """
    bundle = open_bundle(folder)
    policy = Policy(
        score=settings.score or bundle.manifest.default_score,
        alpha=settings.alpha,
        delta=settings.delta,
    )
    engine = Engine(
        bundle.model,
        bundle.manifest,
        device=settings.device,
        threads=settings.threads,
        threads_per_run=settings.threads_per_run,
        max_batch=settings.max_batch,
    )
    return ServedModel(bundle=bundle, engine=engine, guard=Guard(bundle, policy, engine.run))
