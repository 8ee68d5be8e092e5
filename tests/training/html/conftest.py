"""The report and the evidence that every part of the page is tried on."""

import pytest

from oodguard.training.report.model import EvaluationEvidence, Report
from tests.training.reports import tiny_evidence, tiny_report


@pytest.fixture
def report() -> Report:
    return tiny_report()


@pytest.fixture
def evidence() -> EvaluationEvidence:
    return tiny_evidence()
