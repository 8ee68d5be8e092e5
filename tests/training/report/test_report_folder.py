from pathlib import Path

import pytest

from oodguard.models.errors import RecipeError
from oodguard.training.report.write import create_report_folder


@pytest.mark.parametrize("folder", ["/proc/x", "x" * 300, __file__], ids=["proc", "long", "file"])
def test_report_folder_that_cannot_be_created_is_an_error(folder: str) -> None:
    with pytest.raises(RecipeError, match=f"^{folder}: the report cannot be written: .*--out"):
        create_report_folder(Path(folder))
