"""ODIN: maximum softmax probability at a high temperature, after input pre-processing."""

from oodguard.models.scores.msp import msp_log_odds
from oodguard.training.detectors.preprocessing import Detector, Preprocessed
from oodguard.training.scoring.graph import ScoredClassifier


def odin(
    classifier: ScoredClassifier, *, temperature: float = 1000.0, step: float = 0.0014
) -> Detector:
    """Return ODIN for a classifier: Liang et al. 2018, arXiv:1706.02690, with its defaults.

    The score is log((1 - p) / p) of the largest probability p of softmax(z / T) in place of -p: the
    same ranking and the same pre-processing, but at T = 1000, where every p is close to 1 / K,
    float32 would give -p many ties and an attack a gradient of few digits.
    """
    return Preprocessed(
        score=lambda images: msp_log_odds(classifier.features_and_logits(images)[1] / temperature),
        step=step,
    )
