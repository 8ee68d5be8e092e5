"""`oodguard score --fdr` decides about all images of a source together."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import false_discovery_control

from oodguard.service.scoring import output, second_pass
from tests.service.scoring.conftest import Rows, Score, png_of

Verdicts = Callable[[], Rows]


def test_score_fdr_that_rejects_none_states_how_many_must_be_unusual(
    score: Score, tmp_path: Path
) -> None:
    # 1 / 251 is above .1 / 100 and .2 / 100, not above .4 / 100.
    pictures = [png_of(255), png_of(255), *map(png_of, [100] * 98)]
    pq.write_table(pa.table({"image": pictures}), tmp_path / "t.parquet")
    result = score(tmp_path / "t.parquet", "--fdr", "0.1")
    assert "100 images scored, 0 rejected" in result.stdout
    assert "none is rejected: at this rate, 4 of 100 images must have the smallest p-value," in (
        result.stdout
    )


def test_score_fdr_decides_about_all_images_together_also_if_it_was_interrupted(
    score: Score, verdicts: Verdicts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Three parts of 64 and 4 pictures, of which 100 are decided about together.
    levels = [255, 255, 248, 240, *[100] * 64, *[50] * 32]
    pictures = [*map(png_of, levels), *[b"text"] * 32]
    pq.write_table(pa.table({"image": pictures}), tmp_path / "t.parquet")
    arguments = (tmp_path / "t.parquet", "--fdr", "0.3")

    def fail(path: Path, table: pa.Table) -> None:
        if path.name == "part-00001.parquet":
            raise OSError(28, "No space left on device")
        output.write_shard(path, table)

    with monkeypatch.context() as patch:
        patch.setattr(second_pass, "write_shard", fail)
        result = score(*arguments)
    assert result.stderr.splitlines()[-1].endswith("cannot be written: No space left on device")
    folder = tmp_path / "verdicts"
    assert len(list(folder.glob("part-*"))) == 1
    assert len(list(folder.glob("_scored-*"))) == 2
    result = score(*arguments)
    assert result.exit_code == 0, result.output
    # p = 1, 1, 4, 12, ... of 251 for m = 100: .3 k / m is .003, .006, .009, ...; 1 / 251 = .00398
    # is below the second, and 4 / 251 = .016 is above the third.
    found = verdicts()
    expected = [*["reject"] * 2, *["accept"] * 98, *[None] * 32]
    assert [row["decision"] for row in found] == expected
    assert [bool(row["reasons"]) for row in found] == [*[True] * 2, *[False] * 130]
    facts = json.loads(pq.read_schema(folder / "part-00000.parquet").metadata[b"oodguard"])
    assert (facts["fdr"], facts["rejected"]) == (0.3, 2)
    # Another rate, as docs/score.md calculates it.
    p_values = pd.DataFrame(found).p_value.dropna()
    adjusted = false_discovery_control(p_values)
    assert (adjusted <= 0.3).sum() == 2
    refused = score(tmp_path / "t.parquet", "--fdr", "0.7")
    assert "p-values of a complete run, without scoring again: docs/score.md#another" in (
        refused.stderr
    )
    assert facts["largest_rejected_p_value"] == 1 / 251
    assert not list(folder.glob("_scored-*"))
