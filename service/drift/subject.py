"""What a monitor watches: evidence about one subject says nothing of another."""

from dataclasses import dataclass

from models.bundle import Bundle
from models.decision import Policy, threshold
from service.drift.evidence import Limits
from service.drift.rejections import honest_rate


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A bundle under a policy.

    `bundle` is the bundle's sha256, `score` the one that decides, `threshold` what it rejects
    above; `rate` is the rate of rejections that is bet against.
    """

    bundle: str
    score: str
    threshold: float
    rate: float


def subject(bundle: Bundle, policy: Policy, limits: Limits) -> Subject:
    """Return what is to be watched where `bundle` is served under `policy`.

    Raises:
        CalibrationError: the bundle has too few calibration scores for the policy.
    """
    calibration = bundle.calibration[policy.score]
    return Subject(
        bundle=bundle.sha256,
        score=policy.score,
        threshold=threshold(calibration, policy),
        rate=honest_rate(len(calibration), policy, delta=limits.delta),
    )
