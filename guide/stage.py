"""Copy the Markdown files of the repository into one tree, in which every link leads to a page.

The files of `docs/` link to files outside of it, such as `../README.md` or a recipe. On a Git host
these links work as they are; a site has only its own tree.
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

# Pages outside of docs/, and their paths in the site.
_MOVED = {
    "README.md": "project/overview.md",
    "ARCHITECTURE.md": "project/architecture.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/reporting.md",
    "CHANGELOG.md": "project/changelog.md",
    "tests/data/README.md": "project/test-data.md",
}

_LANGUAGES = {".toml": "toml", ".yaml": "yaml", ".yml": "yaml", ".py": "python", ".json": "json"}
_LANGUAGES |= {".conf": "nginx", ".mjs": "javascript", ".go": "go", ".sh": "sh"}

# Files that are copied as they are.
_ASSETS = {".png", ".svg", ".html", ".ipynb"}

# Code is matched first, so that a link in it is left alone.
_LINK = re.compile(
    r"(?P<code>^(?P<fence>```+|~~~+).*?^(?P=fence)[^\n]*$|`[^`\n]+`)"
    r"|(?P<before>\]\(|(?:src|href)=\")(?P<target>[^)\s\"]+)(?P<after>[)\"])",
    re.DOTALL | re.MULTILINE,
)
_OUTSIDE = re.compile(r"[a-z]+:|#|/")


class BrokenLinkError(Exception):
    """A link of a Markdown file leads to nothing that the repository has."""


def pages(root: Path) -> dict[str, str]:
    """Return the site's path of every page, by its path in the repository."""
    found = {
        file.relative_to(root).as_posix(): file.relative_to(root / "docs").as_posix()
        for file in sorted((root / "docs").rglob("*.md"))
    }
    cards = sorted(root.glob("models/pretrained/*/README.md"))
    found |= {card.relative_to(root).as_posix(): f"models/{card.parent.name}.md" for card in cards}
    return found | {name: site for name, site in _MOVED.items() if (root / name).exists()}


def stage(root: Path, out: Path) -> None:
    """Write the pages, and all files that they link to, into an empty folder.

    Args:
        root: The repository.
        out: The folder, which is created.

    Raises:
        BrokenLinkError: A link leads to a file that does not exist.
    """
    known = pages(root)
    files: dict[str, str] = {}
    for name, site in known.items():
        text = (root / name).read_text(encoding="utf-8")
        _write(out / site, _relink(text, root, name, known, files))
    for name, site in files.items():
        if PurePosixPath(name).suffix in _ASSETS:
            (out / site).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name, out / site)
        else:
            _write(out / site, _listing(name, (root / name).read_text(encoding="utf-8")))


def _relink(text: str, root: Path, name: str, known: dict[str, str], files: dict[str, str]) -> str:
    """Return a page with the links of the site; add the files that it links to, to `files`."""
    folder = PurePosixPath(known[name]).parent

    def new_link(match: re.Match[str]) -> str:
        target = match["target"]
        if match["code"] or _OUTSIDE.match(target):
            return match[0]
        path, mark, anchor = target.partition("#")
        received = os.path.normpath(PurePosixPath(name).parent / path)
        if (root / received / "README.md").is_file():
            received = f"{received}/README.md"
        if not (root / received).is_file():
            raise BrokenLinkError(f"{name} links to {target}, expected a file of the repository")
        site = known.get(received) or files.setdefault(received, _site_path(received))
        link = os.path.relpath(site, folder)
        return f"{match['before']}{link}{mark}{anchor}{match['after']}"

    return _LINK.sub(new_link, text)


def _site_path(name: str) -> str:
    """Return the site's path of a file that is no page."""
    path = PurePosixPath(name)
    if path.parts[0] == "docs":
        return path.relative_to("docs").as_posix()
    # A name that begins with a dot is hidden to the generator.
    site = PurePosixPath("files", path.parent, path.name.removeprefix("."))
    return str(site) if path.suffix in _ASSETS else f"{site}.md"


def _listing(name: str, text: str) -> str:
    """Return a page that shows a file."""
    language = _LANGUAGES.get(PurePosixPath(name).suffix, "text")
    return f"# {name}\n\n````{language}\n{text.rstrip()}\n````\n"


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def navigation_faults(nav: object, staged: set[str]) -> Iterator[str]:
    """Yield what is wrong with the navigation: missing pages, and entries without a page.

    Args:
        nav: `project.nav` of zensical.toml: titles, pages and lists, nested.
        staged: The site's paths of all pages.
    """
    listed = list(_entries(nav))
    yield from (f"{page} is missing in nav" for page in sorted(staged - {*listed}))
    yield from (f"nav has {page}, expected a page" for page in sorted({*listed} - staged))
    twice = {each for each in listed if listed.count(each) > 1}
    yield from (f"nav has {page} twice" for page in sorted(twice))


def _entries(nav: object) -> Iterator[str]:
    match nav:
        case str():
            yield nav
        case list():
            for each in nav:
                yield from _entries(each)
        case dict():
            yield from _entries(list(nav.values()))
