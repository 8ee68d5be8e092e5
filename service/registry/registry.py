"""The registry of served models, by name and version; it may change while the service runs."""

import re
from collections.abc import Sequence
from pathlib import Path

from oodguard.models.bundle import MANIFEST
from oodguard.models.errors import BundleError
from oodguard.service.errors import UnknownModel
from oodguard.service.registry.deployment import Deployment
from oodguard.service.settings import Settings


def bundle_folders(settings: Settings) -> list[Path]:
    """Return the folders of the bundles to serve, sorted.

    OODGUARD_MODELS contains them as NAME/ or NAME/VERSION/. The name and the version of a model
    are those of its manifest, not of its folder.

    Raises:
        BundleError: OODGUARD_MODELS is not a folder, or contains no bundle.
    """
    if settings.models is None:
        return [settings.bundle]
    folders = sorted(
        manifest.parent
        for pattern in (f"*/{MANIFEST}", f"*/*/{MANIFEST}")
        for manifest in settings.models.glob(pattern)
        # The folder of an unfinished copy or export has a name with a leading dot.
        if not any(part.startswith(".") for part in manifest.relative_to(settings.models).parts)
    )
    if not folders:
        raise BundleError(
            f"{settings.models} contains no bundle: expected NAME/{MANIFEST} or"
            f" NAME/VERSION/{MANIFEST}"
        )
    return folders


class ModelRegistry:
    """The deployments by the folder of their bundle. It changes in the event loop only.

    Args:
        default: `NAME` or `NAME@VERSION` of the default model; None: the only name.
    """

    def __init__(self, default: str | None) -> None:
        self._default = default
        self._by_folder: dict[Path, Deployment] = {}
        self._by_name: dict[str, list[Deployment]] = {}

    @property
    def default(self) -> Deployment:
        """The model that answers requests that name none."""
        return self.find(*split_reference(self._default or next(iter(self._by_name))))

    @property
    def folders(self) -> Sequence[Path]:
        """The folders of the served bundles."""
        return tuple(self._by_folder)

    def deployments(self) -> list[Deployment]:
        """Return all deployments, sorted by name, newest version first."""
        return [each for name in sorted(self._by_name) for each in self._by_name[name]]

    def at(self, folder: Path) -> Deployment | None:
        """Return the deployment of a bundle's folder, if there is one."""
        return self._by_folder.get(folder)

    def find(self, name: str, version: str | None = None) -> Deployment:
        """Return the deployment of a name and version; without a version, the newest.

        Raises:
            UnknownModel: The name or the version is not served.
        """
        versions = self._by_name.get(name)
        if not versions:
            raise UnknownModel(
                f"the model {name[:64]!r} is not served, expected one of:"
                f" {', '.join(sorted(self._by_name))}"
            )
        if version is None:
            return versions[0]
        for each in versions:
            if each.version == version:
                return each
        raise UnknownModel(
            f"the model {name!r} has no version {version[:32]!r}, expected one of:"
            f" {', '.join(each.version for each in versions)}"
        )

    def require_default(self) -> None:
        """Check that there is a default model.

        Raises:
            BundleError: Several names and no default, or the default is not served.
        """
        if self._default is None and len(self._by_name) > 1:
            raise BundleError(
                f"several models are served ({', '.join(sorted(self._by_name))}) and none is the"
                " default: set OODGUARD_DEFAULT_MODEL to the one that answers POST /predict"
            )
        try:
            self._default = self._default or next(iter(self._by_name))
            self.find(*split_reference(self._default))
        except UnknownModel as error:
            raise BundleError(f"OODGUARD_DEFAULT_MODEL: {error}") from error

    def put(self, folder: Path, deployment: Deployment) -> None:
        """Serve a deployment in place of the one from the same folder.

        Raises:
            BundleError: Another folder has a model of that name and version, or the default model
                would no longer be served.
        """
        if folder in self._by_folder and not self._has_default_without(folder, deployment):
            raise BundleError(
                f"{folder} contains {deployment.name} {deployment.version}, expected the default"
                f" model {self._default}: restore its name and version, or restart the service"
            )
        key = (deployment.name, deployment.version)
        for other, each in self._by_folder.items():
            if other != folder and (each.name, each.version) == key:
                raise BundleError(
                    f"{folder} and {other} both contain {key[0]} {key[1]}: change the version of"
                    " one of them"
                )
        self._replace(folder, deployment)

    def remove(self, folder: Path) -> None:
        """Stop serving the model of a folder.

        Raises:
            BundleError: The default model would no longer be served.
        """
        if not self._has_default_without(folder):
            raise BundleError(
                f"{folder} is missing, but its model {self._default} is the default and remains"
                " served: restore the folder, or restart the service"
            )
        self._replace(folder, None)

    def close(self) -> None:
        """Close every deployment."""
        for deployment in self._by_folder.values():
            deployment.close()

    def _has_default_without(self, folder: Path, *added: Deployment) -> bool:
        """Return whether a default model remains if a folder's model is replaced by `added`."""
        others = [each for at, each in self._by_folder.items() if at != folder]
        name, version = split_reference(self._default or self.default.name)
        return any(
            each.name == name and version in {None, each.version} for each in [*others, *added]
        )

    def _replace(self, folder: Path, new: Deployment | None) -> None:
        old = self._by_folder.pop(folder, None)
        if old:
            old.withdraw()
        if new:
            self._by_folder[folder] = new
            new.publish()
        by_name: dict[str, list[Deployment]] = {}
        for each in self._by_folder.values():
            by_name.setdefault(each.name, []).append(each)
        for versions in by_name.values():
            versions.sort(key=lambda each: version_key(each.version), reverse=True)
        self._by_name = by_name
        if old:
            old.retire()


def split_reference(reference: str) -> tuple[str, str | None]:
    """Split `NAME` or `NAME@VERSION` into name and version."""
    name, _, version = reference.partition("@")
    return name, version or None


def version_key(version: str) -> list[tuple[int, int, str]]:
    """Return a sort key from the oldest to the newest version: digits compare as numbers."""
    return [
        (1, int(part), "") if part.isdigit() else (0, 0, part)
        for part in re.findall(r"[0-9]+|[^0-9]+", version)
    ]
