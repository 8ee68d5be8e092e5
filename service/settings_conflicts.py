"""Settings that are valid one by one, and cannot work together or in this file system."""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from oodguard.service.settings import POLICY_FILE, Settings, variable

NOT_BELOW = (
    ("max_pending_bytes", "max_body_bytes", "a body of that size would never be accepted"),
    ("max_pending_images", "max_images", "a request of that many images would never be accepted"),
)
"""A setting, the one that it must not be below, and the reason."""


def conflicts(settings: Settings, options: Mapping[str, str] | None = None) -> list[str]:
    """Return the conflicts between settings, each with the names, the values and the remedy.

    Args:
        settings: The settings of a server.
        options: The command-line option by field, for fields that an option has set.
    """

    def named(field: str) -> str:
        return f"{(options or {}).get(field, variable(field))} is {getattr(settings, field)}"

    return [
        *(
            f"{named(low)}, below {variable(high)}, which is {getattr(settings, high)}: {reason}."
            f" Raise {variable(low)} or lower {variable(high)}"
            for low, high, reason in NOT_BELOW
            if getattr(settings, low) < getattr(settings, high)
        ),
        *_bundles(settings, named("bundle")),
        *_shadow(settings),
        *_keys(settings),
        *_samples(settings),
        *_times(settings),
        *_workers(settings),
        *_folders(settings),
        *_guide(settings),
    ]


def _bundles(settings: Settings, bundle: str) -> Iterator[str]:
    # docker-compose.yml cannot express a default that applies unless another variable is set, and
    # sets both to the same folder.
    given = "bundle" in settings.model_fields_set
    if settings.models is not None and given and settings.bundle != settings.models:
        yield f"{bundle} and OODGUARD_MODELS is {settings.models}: set one of them"


def _shadow(settings: Settings) -> Iterator[str]:
    if settings.policy or (settings.models and (settings.models / POLICY_FILE).exists()):
        return  # The file may set what is missing here.
    model, share = settings.shadow_model, settings.shadow_share
    if share and model is None:
        yield (
            f"OODGUARD_SHADOW_SHARE is {share:g}, but OODGUARD_SHADOW_MODEL is not set: set it to"
            " NAME or NAME@VERSION, or the share to 0"
        )
    if model is not None and not share:
        yield (
            f"OODGUARD_SHADOW_MODEL is {model}, but OODGUARD_SHADOW_SHARE is 0: set it above 0, or"
            " do not set the model"
        )
    if model is not None and model == settings.default_model:
        yield (
            f"OODGUARD_SHADOW_MODEL and OODGUARD_DEFAULT_MODEL are both {model}: set the shadow"
            " model to another model or version"
        )


def _keys(settings: Settings) -> Iterator[str]:
    """Yield the conflicts of keys; the text of OODGUARD_KEYS is never repeated."""
    if settings.keys is not None and settings.keys_file is not None:
        yield (
            f"OODGUARD_KEYS_FILE is {settings.keys_file}, and OODGUARD_KEYS is set as well: set one"
            " of them"
        )
    if settings.keys is not None or settings.keys_file is not None:
        return
    remedy = "set OODGUARD_KEYS_FILE to a file of keys"
    if settings.requests_per_minute is not None:
        yield (
            f"OODGUARD_REQUESTS_PER_MINUTE is {settings.requests_per_minute} for each key, but"
            f" OODGUARD_KEYS_FILE and OODGUARD_KEYS are not set: {remedy}"
        )


def _samples(settings: Settings) -> Iterator[str]:
    sampling = [name for name in ("sample_rate", "sample_accept_rate") if getattr(settings, name)]
    if not sampling:
        return
    rate = f"{variable(sampling[0])} is {getattr(settings, sampling[0]):g}"
    if settings.sample_to is None:
        yield (
            f"{rate}, but OODGUARD_SAMPLE_TO is not set: set it to a folder or s3://BUCKET/PREFIX,"
            " or the rate to 0"
        )
    if settings.sample_max_bytes < settings.max_body_bytes:
        yield (
            f"{rate} and OODGUARD_SAMPLE_MAX_BYTES is {settings.sample_max_bytes}, below"
            f" OODGUARD_MAX_BODY_BYTES, which is {settings.max_body_bytes}: an image of that size"
            " could not be stored. Raise the former or lower the latter"
        )


def _times(settings: Settings) -> Iterator[str]:
    if settings.max_delay_ms / 1000 >= settings.timeout_s:
        yield (
            f"OODGUARD_MAX_DELAY_MS is {settings.max_delay_ms:g}, not below OODGUARD_TIMEOUT_S,"
            f" which is {settings.timeout_s:g} s: requests would end while they wait for a batch."
            " Lower the former or raise the latter"
        )
    if 0 < settings.threads < settings.threads_per_run:
        yield (
            f"OODGUARD_THREADS_PER_RUN is {settings.threads_per_run}, above OODGUARD_THREADS, which"
            f" is {settings.threads}: one run cannot have more threads than all runs together."
            " Lower the former or raise the latter"
        )


def _workers(settings: Settings) -> Iterator[str]:
    workers = settings.workers
    if isinstance(workers, str) or workers == 1:
        return
    if sys.platform != "linux":
        yield (
            f"OODGUARD_WORKERS is {workers}, but several workers require Linux: set it to 1 or auto"
        )
    needed = workers * settings.threads_per_run
    if 0 < settings.threads < needed:
        yield (
            f"OODGUARD_WORKERS is {workers}, which need {needed} threads with"
            f" OODGUARD_THREADS_PER_RUN, but OODGUARD_THREADS is {settings.threads}: lower the"
            " former or raise the latter"
        )
    if settings.device in {"cuda", "tensorrt"}:
        yield (
            f"OODGUARD_WORKERS is {workers} and OODGUARD_DEVICE is {settings.device}: one process"
            " uses a GPU fully. Set OODGUARD_WORKERS to 1 or auto"
        )


def _guide(settings: Settings) -> Iterator[str]:
    if settings.guide is not None and not (settings.guide / "index.html").is_file():
        yield (
            f"OODGUARD_GUIDE is {settings.guide}, which has no index.html: build the site with"
            " make docs, or set it to none"
        )


def _folders(settings: Settings) -> Iterator[str]:
    """Yield folders that cannot be written, or whose files would invalidate a bundle."""
    folders = {"state": settings.state}
    samples = settings.sample_to
    if (settings.sample_rate or settings.sample_accept_rate) and samples and "://" not in samples:
        folders["sample_to"] = Path(samples)
    for field, folder in folders.items():
        if folder is None:
            continue
        name = f"{variable(field)} is {folder}"
        if bundle := _bundle_around(folder):
            yield (
                f"{name}, in the folder of the bundle {bundle}, which is invalid with further"
                f" files: set {variable(field)} to another folder"
            )
        elif field == "state" and not _is_folder(folder):
            yield f"{name}, which is not a folder or not accessible: create it, or mount the volume"
        elif _is_folder(folder) and not os.access(folder, os.W_OK | os.X_OK):
            yield (
                f"{name}, which this process (user {os.getuid()}) may not write: change the"
                " permissions or the owner of the folder"
            )


def _is_folder(path: Path) -> bool:
    """Return whether a path is a folder; one below a folder without access counts as missing."""
    try:
        return path.is_dir()
    except PermissionError:
        return False


def _bundle_around(folder: Path) -> Path | None:
    """Return the folder of the bundle that contains a folder, which need not exist."""
    # It imports NumPy, which `serve` does not before it has limited NumPy's threads.
    from oodguard.models.bundle import MANIFEST, MODEL  # noqa: PLC0415

    resolved = Path(os.path.realpath(folder))
    for each in (resolved, *resolved.parents):
        # Files of other software have the name of the manifest, too.
        if all(os.access(each / name, os.F_OK) for name in (MANIFEST, MODEL)):
            return each
    return None
