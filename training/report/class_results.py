"""The results of a report by class: test images by true class, calibration images by prediction."""

from oodguard.models.frozen_model import FrozenModel


class ClassResult(FrozenModel):
    """The clean test images of one class: how many are predicted correctly, and are rejected.

    `confused` counts the predictions of each wrong class, the most frequent first.
    """

    name: str
    images: int
    correct: int
    rejected: int
    confused: dict[str, int]

    @property
    def accuracy(self) -> float:
        """The share of correct predictions; 1 without images."""
        return self.correct / self.images if self.images else 1.0

    @property
    def rejection_rate(self) -> float:
        """The share of rejected images; 0 without images."""
        return self.rejected / self.images if self.images else 0.0


class PredictedClass(FrozenModel):
    """The calibration images of one predicted class, and how many the threshold rejects."""

    name: str
    images: int
    rejected: int

    @property
    def rejection_rate(self) -> float | None:
        """The share of rejected images; None without images."""
        return self.rejected / self.images if self.images else None
