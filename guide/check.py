"""Check a built site: every link and image exists, and nothing is loaded from elsewhere."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Elements that load what they name, as opposed to a link that a reader follows.
_LOADED = {"script", "img", "iframe", "source", "audio", "video", "embed", "object", "track"}

_CSS_URL = re.compile(r"url\(\s*['\"]?((?:https?:)?//[^'\")]+)|@import")

# Markdown without an empty line before a list: GitHub renders a list, Python-Markdown does not.
_LIST_IN_PARAGRAPH = re.compile(r"<p>[^<]*(?:<(?!/p>)[^<]*)*?\n\s*(?:[-*]|\d+\.) ")


@dataclass(slots=True)
class _Page(HTMLParser):
    """The links, the loaded files, the anchors and the inline scripts of a page."""

    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    inline_scripts: int = 0

    def __post_init__(self) -> None:
        HTMLParser.__init__(self)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record what an element names."""
        names = {name: value or "" for name, value in attrs}
        self.anchors |= {names[name] for name in ("id", "name") if name in names}
        address = names.get("src") or names.get("href") or names.get("data")
        executed = names.get("type", "text/javascript") in {"text/javascript", "module"}
        if tag == "script" and "src" not in names and executed:
            self.inline_scripts += 1
        if any(name.startswith("on") for name in names):
            self.inline_scripts += 1
        if not address:
            return
        is_loaded = tag in _LOADED or (tag == "link" and names.get("rel") not in {"next", "prev"})
        (self.loaded if is_loaded else self.links).append(address)


def faults(site: Path) -> Iterator[str]:
    """Yield every fault of a site, with the page that has it."""
    pages = {file: _parse(file) for file in sorted(site.rglob("*.html"))}
    for file, page in pages.items():
        where = file.relative_to(site).as_posix()
        for address in [*page.loaded, *page.links]:
            yield from (
                f"{where}: {fault}" for fault in _address_faults(file, address, site, pages)
            )
        for address in page.loaded:
            if urlsplit(address).netloc:
                yield f"{where}: loads {address}, expected a file of the site"
        if page.inline_scripts:
            yield f"{where}: {page.inline_scripts} inline scripts, expected none"
        if _LIST_IN_PARAGRAPH.search(file.read_text(encoding="utf-8")):
            yield f"{where}: a list in a paragraph, expected an empty line before the list"
    for file in sorted(site.rglob("*.css")):
        for match in _CSS_URL.finditer(file.read_text(encoding="utf-8")):
            where = file.relative_to(site).as_posix()
            yield f"{where}: loads {match[0]}, expected a file of the site"


def _parse(file: Path) -> _Page:
    page = _Page()
    page.feed(file.read_text(encoding="utf-8"))
    return page


def _address_faults(
    file: Path, address: str, site: Path, pages: dict[Path, _Page]
) -> Iterator[str]:
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return
    if parts.path.startswith("/"):
        yield f"link to {address}, expected a relative one"
        return
    target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
    if target.is_dir():
        target /= "index.html"
    if not target.is_relative_to(site) or not target.is_file():
        yield f"link to {address}, which does not exist"
    elif (
        parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors
    ):
        yield f"link to {address}, which has no such anchor"
