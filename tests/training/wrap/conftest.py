"""Images of three colours, and grey ones."""

from pathlib import Path

import pytest

from tests.training.wrap.classifiers import (
    draw_folder,
    draw_greys,
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    draw_folder(folder / "colours")
    draw_greys(folder / "greys")
    return folder
