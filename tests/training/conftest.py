"""One thread, a temporary cache of data sets and a short evaluation."""

from collections.abc import Iterator

import pytest
import torch

from tests.training.short_suite import SHORT_SUITES


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Use one thread: more do not help tiny networks, and slow them down on shared cores."""
    torch.set_num_threads(1)


@pytest.fixture
def short_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reduce the standard suite to one budget, one step and few images."""
    monkeypatch.setattr("oodguard.training.cli.evaluate.SUITES", SHORT_SUITES)


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Use a temporary cache of `datasets` instead of the one in the home folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))
        yield
