"""The report and the evidence that every part of the page is tried on."""

import pytest

from tests.training.reports import tiny_evidence, tiny_report
from training.evidence import Evidence
from training.report import Report


@pytest.fixture
def report() -> Report:
    return tiny_report()


@pytest.fixture
def evidence() -> Evidence:
    return tiny_evidence()
