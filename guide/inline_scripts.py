"""Move inline scripts into files, so that a policy without 'unsafe-inline' allows them."""

import hashlib
import re
from pathlib import Path

_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def move_inline_scripts(site: Path) -> None:
    """Replace every inline script of the site's pages by a file of its content.

    The order of execution stays: a classic script with `src` blocks the parser as an inline one.

    Args:
        site: The folder of the built site.
    """
    folder = site / "assets" / "javascripts"
    for page in sorted(site.rglob("*.html")):
        depth = len(page.relative_to(site).parts) - 1

        def move(match: re.Match[str], prefix: str = "../" * depth) -> str:
            name = f"inline-{hashlib.sha256(match[1].encode()).hexdigest()[:12]}.js"
            (folder / name).write_text(match[1], encoding="utf-8")
            return f'<script src="{prefix}assets/javascripts/{name}"></script>'

        text = page.read_text(encoding="utf-8")
        page.write_text(_INLINE.sub(move, text), encoding="utf-8")
