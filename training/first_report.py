"""The reports of the first release: the content of evaluation.json before there were suites."""

from pydantic import BaseModel, ConfigDict

from models.decision import Policy


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Protocol(_Frozen):
    """How the attacked figures were made: PGD on the score itself, best iterate of all restarts.

    `step_size` is in epsilons; `images` the most taken from each set.
    """

    attack: str = "PGD"
    steps: int
    restarts: int
    step_size: float
    images: int
    seed: int


class SetResult(_Frozen):
    """One out-of-distribution set against the test set under one budget."""

    images: int
    auroc: float
    missed_ood_rate: float


class Condition(_Frozen):
    """All sets under one attack budget on both sides; `epsilon_255` 0 is clean."""

    epsilon_255: float
    false_rejection_rate: float
    sets: dict[str, SetResult]

    @property
    def mean_auroc(self) -> float:
        """The plain mean over the sets."""
        return sum(result.auroc for result in self.sets.values()) / len(self.sets)

    @property
    def mean_missed_ood_rate(self) -> float:
        """The plain mean over the sets."""
        return sum(result.missed_ood_rate for result in self.sets.values()) / len(self.sets)


class Report(_Frozen):
    """A run's figures under one policy."""

    score: str
    alpha: float
    delta: float | None
    threshold: float
    calibration_images: int
    accuracy: float
    accuracy_images: int
    protocol: Protocol
    conditions: tuple[Condition, ...]
    duration_s: float
    hardware: str
    command: str

    @property
    def policy(self) -> Policy:
        """The policy that the threshold was set by."""
        return Policy(score=self.score, alpha=self.alpha, delta=self.delta)
