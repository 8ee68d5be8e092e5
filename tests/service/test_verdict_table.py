"""The table of `oodguard predict`."""

import pytest

from oodguard.service.verdict_table import print_table

HOSTILE = "[red]\x1b[2J"
"""Markup of the table's library, and a sequence that clears a terminal."""


def test_verdict_table_prints_texts_of_a_hostile_service_as_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(
        {
            "policy": {"score": HOSTILE, "threshold": 1.0},
            "predictions": [
                {
                    "file": HOSTILE,
                    "label": HOSTILE,
                    "scores": {HOSTILE: 2.0},
                    "p_value": 0.01,
                    "decision": "reject",
                    "reasons": [{"code": HOSTILE}],
                }
            ],
        }
    )
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    # The file, the label and the reason; the score in the head of its column and in the caption.
    assert printed.count(r"[red]\x1b[2J") == 5
