"""The pages of the site, their links, and the navigation."""

import tomllib
from pathlib import Path

import pytest

from guide.__main__ import CONFIG, ROOT
from guide.stage import BrokenLinkError, navigation_faults, pages, stage


def write(root: Path, **texts: str) -> None:
    for name, text in texts.items():
        file = root / name.replace("__", "/").replace("_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def test_guide_navigation_has_every_page_once() -> None:
    nav = tomllib.loads(CONFIG.read_text(encoding="utf-8"))["project"]["nav"]
    assert list(navigation_faults(nav, set(pages(ROOT).values()))) == []


def test_guide_navigation_faults_are_named() -> None:
    nav = [{"A": ["a.md", {"B": "b.md"}]}, "a.md"]
    assert list(navigation_faults(nav, {"a.md", "c.md"})) == [
        "c.md is missing in nav",
        "nav has b.md, expected a page",
        "nav has a.md twice",
    ]


def test_guide_links_lead_to_the_pages_of_the_site(tmp_path: Path) -> None:
    write(
        tmp_path / "root",
        README_md='[a](docs/a.md#x) <img src="docs/p.png"> [web](https://example.org)',
        docs__a_md="[top](../README.md) `[no](link.md)`\n\n```\n[no](link.md)\n```\n[t](../t.toml)",
        docs__runbooks__README_md="[a](../a.md)",
        t_toml="x = 1",
    )
    (tmp_path / "root" / "docs" / "p.png").write_bytes(b"png")
    stage(tmp_path / "root", tmp_path / "out")

    def read(name: str) -> str:
        return (tmp_path / "out" / name).read_text(encoding="utf-8")

    assert read("project/overview.md") == (
        '[a](../a.md#x) <img src="../p.png"> [web](https://example.org)'
    )
    assert read("a.md") == (
        "[top](project/overview.md) `[no](link.md)`\n\n```\n[no](link.md)\n```\n"
        "[t](files/t.toml.md)"
    )
    assert read("runbooks/README.md") == "[a](../a.md)"
    assert read("files/t.toml.md") == "# t.toml\n\n````toml\nx = 1\n````\n"
    assert (tmp_path / "out" / "p.png").read_bytes() == b"png"


def test_guide_refuses_a_link_to_a_missing_file(tmp_path: Path) -> None:
    write(tmp_path / "root", docs__a_md="![x](nowhere.png)")
    with pytest.raises(BrokenLinkError, match=r"docs/a\.md links to nowhere\.png"):
        stage(tmp_path / "root", tmp_path / "out")


def test_docker_build_has_every_file_of_the_guide(tmp_path: Path) -> None:
    stage(ROOT, tmp_path)
    shown = {
        file.relative_to(tmp_path / "files").as_posix()
        for file in (tmp_path / "files").rglob("*")
        if file.is_file()
    }
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    context = [line[1:].removeprefix(".") for line in lines if line.startswith("!")]
    missing = [
        name
        for name in shown
        if not any(name in {path, f"{path}.md"} or name.startswith(f"{path}/") for path in context)
    ]
    assert missing == []
