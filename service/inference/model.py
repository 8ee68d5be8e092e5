"""A bundle opened, verified and given a runtime: what server and command line judge with."""

from dataclasses import dataclass
from pathlib import Path

from oodguard.models.bundle import Bundle, open_bundle
from oodguard.models.calibrated_model import CalibratedModel
from oodguard.models.decision import Policy
from oodguard.service.inference.session import ModelSession
from oodguard.service.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedModel:
    """One model with its bundle, its session and its line between accept and reject."""

    bundle: Bundle
    engine: ModelSession
    guard: CalibratedModel


def load_model(folder: Path, settings: Settings) -> LoadedModel:
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
    engine = ModelSession(
        bundle.model,
        bundle.manifest,
        device=settings.device,
        threads=settings.threads,
        threads_per_run=settings.threads_per_run,
        max_batch=settings.max_batch,
    )
    return LoadedModel(
        bundle=bundle, engine=engine, guard=CalibratedModel(bundle, policy, engine.run)
    )
