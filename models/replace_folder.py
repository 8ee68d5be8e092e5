"""Replace a folder of files as a whole."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path


def replace_folder(
    folder: Path, content: Mapping[str, bytes], *, check: Callable[[Path], object]
) -> None:
    """Write files to a temporary folder, check them there, and rename it to `folder`.

    If a step fails, the previous folder remains in place or is restored. If the machine stops
    between the two renames, the previous folder remains in `.NAME-*/old`.

    Args:
        folder: The folder to replace. The target of a symbolic link is replaced, not the link.
        content: The files by name.
        check: Raises an error if the new folder is invalid.

    Raises:
        OSError: The files cannot be written.
    """
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        new, old = Path(temporary, "new"), Path(temporary, "old")
        new.mkdir()
        for name, each in content.items():
            (new / name).write_bytes(each)
        check(new)
        if folder.exists():
            folder.rename(old)
        try:
            new.rename(folder)
        finally:
            if not folder.exists() and old.exists():
                old.rename(folder)
