"""Faults of a built site are found."""

from pathlib import Path

import pytest

from guide.check import faults
from guide.inline_scripts import move_inline_scripts


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<a href="b.html">', "link to b.html, which does not exist"),
        ('<img src="x.png">', "link to x.png, which does not exist"),
        ('<a href="../outside.html">', "link to ../outside.html, which does not exist"),
        ('<a href="#nowhere">', "link to #nowhere, which has no such anchor"),
        ('<a href="sub/c.html#no">', "link to sub/c.html#no, which has no such anchor"),
        ('<a href="/a.html">', "link to /a.html, expected a relative one"),
        (
            '<link rel="stylesheet" href="https://fonts.example.org/f.css">',
            "loads https://fonts.example.org/f.css, expected a file of the site",
        ),
        (
            '<script src="//cdn.example.org/x.js"></script>',
            "loads //cdn.example.org/x.js, expected a file of the site",
        ),
        ("<script>alert(1)</script>", "1 inline scripts, expected none"),
        ('<button onclick="x()">', "1 inline scripts, expected none"),
        ("<p>One:\n- a</p>", "a list in a paragraph, expected an empty line before the list"),
    ],
)
def test_site_check_finds_the_fault(body: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / "outside.html").touch()
    site = tmp_path / "site"
    (site / "sub").mkdir(parents=True)
    (site / "sub" / "c.html").write_text("<h1 id='yes'>", encoding="utf-8")
    (site / "a.html").write_text(body, encoding="utf-8")
    assert list(faults(site)) == [f"a.html: {fault}"]


def test_site_check_accepts_links_that_a_reader_follows(tmp_path: Path) -> None:
    body = (
        '<a href="https://example.org">x</a> <a href="#y" id="y">y</a> <a href="sub/">s</a>'
        '<script type="application/json">{}</script>'
    )
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "index.html").touch()
    (tmp_path / "a.html").write_text(body, encoding="utf-8")
    assert list(faults(tmp_path)) == []


@pytest.mark.parametrize("rule", ["url(https://x.org/f.woff2)", 'url("//x.org/f")', "@import 'a'"])
def test_site_check_finds_what_a_style_sheet_loads(rule: str, tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text(f"a {{ {rule} }}", encoding="utf-8")
    (fault,) = faults(tmp_path)
    assert fault.endswith("expected a file of the site")


def test_inline_scripts_become_files(tmp_path: Path) -> None:
    (tmp_path / "assets" / "javascripts").mkdir(parents=True)
    (tmp_path / "sub").mkdir()
    page = tmp_path / "sub" / "a.html"
    page.write_text("<script>var x=1</script><script id=c type=t>{}</script>", encoding="utf-8")
    move_inline_scripts(tmp_path)
    (script,) = (tmp_path / "assets" / "javascripts").iterdir()
    assert script.read_text(encoding="utf-8") == "var x=1"
    assert page.read_text(encoding="utf-8") == (
        f'<script src="../assets/javascripts/{script.name}"></script>'
        "<script id=c type=t>{}</script>"
    )
