import pytest

from tests.vocabulary import check, files, find, main


@pytest.mark.parametrize(
    "text",
    [
        "the value that came",
        "def test_whoever_pays() -> None:",
        "class NobodyError(Exception):",
        "the key is in\n    # force",
        '"32 was " f"wanted"',
        '"""What a bundle holds."""',
        "Fine. What is broken is named.",
    ],
)
def test_vocabulary_finds_denied_words_in_texts_and_names(text: str) -> None:
    assert len(list(find(text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "a camera, an unwanted detour, `outcame`",
        "What is a bundle? A folder.",
        "a BatchSpanProcessor, apart from the CPU",
        "<!-- vocabulary: off --> never: came <!-- vocabulary: on -->",
        "TzkPtbVWUop8xHearVPLp9559YXvLCzuXb52cod9",  # a picture in base64
    ],
)
def test_vocabulary_allows_other_words_questions_and_quotations(text: str) -> None:
    assert not list(find(text))


def test_vocabulary_reports_path_line_and_replacement(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tests/data", "LICENSE"]) == 0
    assert capsys.readouterr().out == "0 findings\n"
    assert next(iter(find("one\ntwo\nanew"))) == (3, "anew", "again")


def test_vocabulary_checks_documents_but_no_frozen_file() -> None:
    checked = {path.as_posix() for path in files([])}
    assert {"README.md", "docs/settings.md", "service/app.py", "Makefile"} <= checked
    assert not any(name.startswith("models/pretrained/") for name in checked)
    assert not list(check(next(iter(files(["docs/serving.svg"])))))
