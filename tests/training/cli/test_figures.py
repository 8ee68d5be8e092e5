import pytest
import typer
from rich.console import Console

from oodguard.models.errors import GuardError
from oodguard.training.cli import command
from oodguard.training.report.markdown import markdown_table


def test_figures_are_not_broken_in_a_table_of_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(width=80, record=True)
    monkeypatch.setattr(command, "console", console)
    head = ["set", "clean", "1/255", "2/255", "4/255", "8/255"]
    row = ["unknown_classes", *[".987 / 12.3 %"] * 4, "1.000 / 100 %"]
    command.print_figures(f"Accuracy 50 %.\n\n{markdown_table([head, row])}")
    text = console.export_text()
    assert "Accuracy 50 %." in text
    words = text.split()
    assert words.count(".987/12.3%") == 4
    assert words.count("1.000/100%") == 1


def test_codes_of_emoji_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    for line in ("folder :100:", "--resize letterbox:-1:"):
        command.print_message(line)
        command.warn(line)
        with pytest.raises(typer.Exit), command.run_command(None):
            raise GuardError(line)
        captured = capsys.readouterr()
        assert captured.out == f"{line}\nwarning: {line}\n"
        assert captured.err == f"error: {line}\n"
