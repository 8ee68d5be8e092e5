"""Build the site: `python -m guide [--out FOLDER]`. Any fault ends with exit code 1."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from guide.check import faults
from guide.inline_scripts import move_inline_scripts
from guide.stage import BrokenLinkError, navigation_faults, pages, stage

ROOT = Path(__file__).parents[1]
CONFIG = Path(__file__).with_name("zensical.toml")

# Zensical writes them for a site with a known address.
_UNUSED = ("404.html", "sitemap.xml", "sitemap.xml.gz", "objects.inv")


_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def build(out: Path) -> list[str]:
    """Build the site into a folder, which is replaced; return its faults."""
    nav = tomllib.loads(CONFIG.read_text(encoding="utf-8"))["project"]["nav"]
    found = list(navigation_faults(nav, set(pages(ROOT).values())))
    if found:
        return [f"guide/zensical.toml: {each}" for each in found]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch).resolve()
        try:
            stage(ROOT, folder / "docs")
        except BrokenLinkError as error:
            return [str(error)]
        shutil.copyfile(CONFIG, folder / CONFIG.name)
        done = subprocess.run(
            [sys.executable, "-m", "zensical", "build", "--strict"],
            cwd=folder,
            env={**os.environ, "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            return [_COLOUR.sub("", done.stdout) or done.stderr]
        site = folder / "site"
        for name in _UNUSED:
            (site / name).unlink(missing_ok=True)
        move_inline_scripts(site)
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(site, out)
        return list(faults(site))


def main() -> int:
    """Build the site and print its faults, or its size."""
    parser = argparse.ArgumentParser(prog="guide", description="Build the documentation site.")
    parser.add_argument("--out", type=Path, default=ROOT / "dist" / "guide")
    out = parser.parse_args().out
    found = build(out)
    for each in found:
        print(each, file=sys.stderr)
    if found:
        return 1
    files = [file for file in out.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    print(f"{out}: {len(files)} files, {size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
