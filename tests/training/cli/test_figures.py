import pytest
from rich.console import Console

from oodguard.command_line import output
from oodguard.training.cli import command
from oodguard.training.report.markdown import markdown_table


def test_figures_are_not_broken_in_a_table_of_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(width=80, record=True, force_terminal=True)
    monkeypatch.setattr(command, "console", lambda: console)
    head = ["set", "clean", "1/255", "2/255", "4/255", "8/255"]
    row = ["unknown_classes", *[".987 / 12.3 %"] * 4, "1.000 / 100 %"]
    command.print_figures(f"Accuracy 50 %.\n\n{markdown_table([head, row])}")
    text = console.export_text()
    assert "Accuracy 50 %." in text
    words = text.split()
    assert words.count(".987/12.3%") == 4
    assert words.count("1.000/100%") == 1


def test_figures_are_as_wide_as_their_content_without_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.start("oodguard-train")
    words = " ".join(["conditions"] * 30)
    row = ["unknown_classes", *[".987 / 12.3 %"] * 9]
    command.print_figures(f"{words}.\n\n{markdown_table([['set', *'abcdefghi'], row])}\n\nEnd.")
    lines = capsys.readouterr().out.splitlines()
    assert f"{words}." in lines
    assert "End." in lines
    (found,) = (line for line in lines if "unknown_classes" in line)
    assert found.split() == ["unknown_classes", *[".987/12.3%"] * 9]
    assert all(line == line.rstrip() for line in lines)


def test_codes_of_emoji_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    output.start("oodguard-train")
    for line in ("folder :100:", "--resize letterbox:-1:"):
        output.message(line)
        output.warn(line)
        output.print_error(line)
        captured = capsys.readouterr()
        assert captured.out == f"{line}\n"
        assert captured.err == f"oodguard-train: warning: {line}\noodguard-train: {line}\n"
