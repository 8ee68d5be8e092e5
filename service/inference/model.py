"""A loaded model: a verified bundle with its session and its policy."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from oodguard.models.bundle import Bundle, open_bundle
from oodguard.models.calibrated_model import CalibratedModel
from oodguard.models.decision import Policy
from oodguard.models.errors import BundleError, DeviceError, GuardError
from oodguard.service.inference.int8 import INT8_WARNING, has_int8_dot_products, read_cpu_info
from oodguard.service.inference.providers import CPU
from oodguard.service.settings import Settings, variable

if TYPE_CHECKING:
    from oodguard.service.inference.session import ModelSession

ChoosePolicy: TypeAlias = Callable[[Bundle], Policy]
"""Returns the policy of a bundle."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedModel:
    """A model that the server and the command line predict with.

    Attributes:
        bundle: The verified bundle.
        session: The session that runs its graph.
        guard: The session with the calibration and the policy.
    """

    bundle: Bundle
    session: "ModelSession"
    guard: CalibratedModel


def policy_values(bundle: Bundle, settings: Settings) -> dict[str, Any]:
    """Return the fields of the policy that the settings define for a bundle."""
    return {
        "score": settings.score or bundle.manifest.default_score,
        "alpha": settings.alpha,
        "delta": settings.delta,
        "by_class": settings.by_class,
        "under_attack": settings.under_attack,
        "beta": settings.beta,
    }


def configured_policy(bundle: Bundle, settings: Settings) -> Policy:
    """Return the policy that the settings define for a bundle."""
    return Policy(**policy_values(bundle, settings))


def load_model(
    folder: Path, settings: Settings, choose_policy: ChoosePolicy | None = None
) -> LoadedModel:
    """Open a bundle with a policy and the configured device.

    Args:
        folder: The bundle's folder.
        settings: The settings.
        choose_policy: Returns the bundle's policy; by default, the settings define it.

    Raises:
        BundleError: The bundle is invalid, its graph does not match the manifest, or it lacks what
            a promise of the policy needs.
        CalibrationError: Too few calibration scores for the policy.
        DeviceError: The configured device is not available.
    """
    # Importing the runtime starts a thread, and a process with threads must not fork.
    from oodguard.service.inference.session import ModelSession  # noqa: PLC0415

    bundle = open_bundle(folder)
    policy = choose_policy(bundle) if choose_policy else configured_policy(bundle, settings)
    if policy.score not in bundle.manifest.scores:
        raise BundleError(
            f"{variable('score')} is {policy.score!r}, expected one of"
            f" {', '.join(bundle.manifest.scores)}, the scores of {bundle.manifest.name}"
        )
    try:
        session = ModelSession(
            bundle.model,
            bundle.manifest,
            device=settings.device,
            threads=settings.threads,
            threads_per_run=settings.threads_per_run,
            max_batch=settings.max_batch,
        )
    except DeviceError as error:
        raise DeviceError(f"{variable('device')}: {error}") from error
    if (
        bundle.manifest.precision == "int8"
        and session.providers[0] == CPU
        and not has_int8_dot_products(read_cpu_info())
    ):
        logger.warning(
            INT8_WARNING,
            extra={"fields": {"model": bundle.manifest.name}},
        )
    guard = CalibratedModel(bundle, policy, session.run)
    return LoadedModel(bundle=bundle, session=session, guard=guard)


@contextmanager
def errors_with_folder(folder: Path) -> Iterator[None]:
    """Add the folder to an error about its bundle that does not name it."""
    try:
        yield
    except GuardError as error:
        if isinstance(error, DeviceError) or str(folder) in str(error):
            raise
        raise type(error)(f"{folder}: {error}") from error
