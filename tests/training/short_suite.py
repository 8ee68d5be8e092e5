"""The standard suite with one budget, one step and few images."""

from oodguard.training.config.suites import SUITES, SuiteAttack, SuiteTrials

_STANDARD = SUITES["standard"].model_copy(
    update={
        "budgets_255": (2.0,),
        "test_images": 40,
        "outlier_images": 40,
        "ascent": SuiteAttack(kind="apgd", steps=1, restarts=1),
        "trials": SuiteTrials(),
    }
)

SHORT_SUITES = {**SUITES, "standard": _STANDARD}
"""Replaces `SUITES` where a test evaluates."""
