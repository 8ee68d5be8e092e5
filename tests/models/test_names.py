from oodguard.models.names import escape_control_characters


def test_escape_control_characters_replaces_what_is_not_printable() -> None:
    text = "new\nline\x1b[31m\u202e\x85\udc80é"
    assert escape_control_characters(text) == r"new\nline\x1b[31m\u202e\x85\udc80é"


def test_escape_control_characters_keeps_the_given_ones() -> None:
    assert escape_control_characters("a\n\tb", keep="\n") == "a\n\\tb"
