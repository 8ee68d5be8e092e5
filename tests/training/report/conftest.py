"""The report and the evidence that the tests of the page share."""

import pytest

from oodguard.training.report.evidence import EvaluationEvidence
from oodguard.training.report.model import Report
from tests.training.report.example import tiny_evidence, tiny_report


@pytest.fixture
def report() -> Report:
    return tiny_report()


@pytest.fixture
def evidence() -> EvaluationEvidence:
    return tiny_evidence()
