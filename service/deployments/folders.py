"""Where bundles lie: the folder of one, or a folder of many."""

from pathlib import Path

from models.bundle import MANIFEST
from models.errors import BundleError
from service.settings import Settings


def bundle_folders(settings: Settings) -> list[Path]:
    """Return the folders of the bundles to serve, in order of their names.

    Under OODGUARD_MODELS they lie one or two levels deep: NAME/ or NAME/VERSION/. What a bundle is
    called is said by its manifest, not by its folder.

    Raises:
        BundleError: OODGUARD_MODELS is no folder, or has no bundle in it.
    """
    if settings.models is None:
        return [settings.bundle]
    found = sorted(
        manifest.parent
        for pattern in (f"*/{MANIFEST}", f"*/*/{MANIFEST}")
        for manifest in settings.models.glob(pattern)
        # A folder that a copy or an export is still working on is named with a dot.
        if not any(part.startswith(".") for part in manifest.relative_to(settings.models).parts)
    )
    if not found:
        raise BundleError(
            f"{settings.models} holds no bundle: {MANIFEST} is wanted in a folder below it"
        )
    return found
