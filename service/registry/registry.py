"""The models that are served, by name and version. Which they are may change while it runs."""

import re
from collections.abc import Sequence
from pathlib import Path

from oodguard.models.bundle import MANIFEST
from oodguard.models.errors import BundleError
from oodguard.service.errors import UnknownModel
from oodguard.service.registry.deployment import Deployment
from oodguard.service.settings import Settings


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


class ModelRegistry:
    """Deployments by the folder that their bundle lies in. Changed in the event loop alone.

    Args:
        default: `NAME` or `NAME@VERSION` of the model that answers where none is named; none: the
            only name there is.
    """

    def __init__(self, default: str | None) -> None:
        self._chosen = default
        self._by_folder: dict[Path, Deployment] = {}
        self._by_name: dict[str, list[Deployment]] = {}

    @property
    def default(self) -> Deployment:
        """The model that answers where none is named."""
        return self.find(*address(self._chosen or next(iter(self._by_name))))

    @property
    def folders(self) -> Sequence[Path]:
        """The folders of the bundles that are served."""
        return tuple(self._by_folder)

    def deployments(self) -> list[Deployment]:
        """All models, by name, the newest version of each first."""
        return [each for name in sorted(self._by_name) for each in self._by_name[name]]

    def at(self, folder: Path) -> Deployment | None:
        """The model of a folder, if one is served from there."""
        return self._by_folder.get(folder)

    def find(self, name: str, version: str | None = None) -> Deployment:
        """Find a model; without a version, its newest.

        Raises:
            UnknownModel: None of that name, or none of that version.
        """
        versions = self._by_name.get(name)
        if not versions:
            raise UnknownModel(
                f"no model {name[:64]!r} is served; there are {', '.join(sorted(self._by_name))}"
            )
        if version is None:
            return versions[0]
        for each in versions:
            if each.version == version:
                return each
        raise UnknownModel(
            f"model {name} has no version {version[:32]!r}; there are"
            f" {', '.join(each.version for each in versions)}"
        )

    def require_default(self) -> None:
        """Refuse a set of models that leaves it open who answers.

        Raises:
            BundleError: Several names and none chosen, or the chosen one is not there.
        """
        if self._chosen is None and len(self._by_name) > 1:
            raise BundleError(
                f"there are models {', '.join(sorted(self._by_name))}; say which one answers"
                " POST /predict with OODGUARD_DEFAULT_MODEL"
            )
        try:
            self._chosen = self._chosen or next(iter(self._by_name))
            self.find(*address(self._chosen))
        except UnknownModel as error:
            raise BundleError(f"OODGUARD_DEFAULT_MODEL: {error}") from error

    def put(self, folder: Path, deployment: Deployment) -> None:
        """Serve a model from now on, in place of the one from the same folder.

        Raises:
            BundleError: Another folder has a model of that name and version, or the default one
                would be gone.
        """
        if folder in self._by_folder and not self._answered_without(folder, deployment):
            raise BundleError(
                f"{self._chosen} answers POST /predict, and {folder} holds {deployment.name}"
                f" {deployment.version} now; keep the name, or restart the service"
            )
        same = (deployment.name, deployment.version)
        for other, each in self._by_folder.items():
            if other != folder and (each.name, each.version) == same:
                raise BundleError(
                    f"{folder} and {other} both hold {same[0]} {same[1]}; give one of them"
                    " another version"
                )
        self._swap(folder, deployment)

    def remove(self, folder: Path) -> None:
        """Serve the model of a folder no longer.

        Raises:
            BundleError: It is the default one, and no other could answer in its place.
        """
        if not self._answered_without(folder):
            raise BundleError(
                f"{self._chosen} answers POST /predict; it stays although {folder} is gone"
            )
        self._swap(folder, None)

    def close(self) -> None:
        """End every engine."""
        for deployment in self._by_folder.values():
            deployment.close()

    def _answered_without(self, folder: Path, *arriving: Deployment) -> bool:
        """Whether, with these in place of a folder's model, there still is a default one."""
        staying = [each for at, each in self._by_folder.items() if at != folder]
        name, version = address(self._chosen or self.default.name)
        return any(
            each.name == name and version in {None, each.version} for each in [*staying, *arriving]
        )

    def _swap(self, folder: Path, arriving: Deployment | None) -> None:
        leaving = self._by_folder.pop(folder, None)
        if leaving:
            leaving.disappear()
        if arriving:
            self._by_folder[folder] = arriving
            arriving.appear()
        by_name: dict[str, list[Deployment]] = {}
        for each in self._by_folder.values():
            by_name.setdefault(each.name, []).append(each)
        for versions in by_name.values():
            versions.sort(key=lambda each: age(each.version), reverse=True)
        self._by_name = by_name
        if leaving:
            leaving.retire()


def address(text: str) -> tuple[str, str | None]:
    """Split `NAME` or `NAME@VERSION`."""
    name, _, version = text.partition("@")
    return name, version or None


def age(version: str) -> list[tuple[int, int, str]]:
    """A key that sorts versions from the oldest to the newest: runs of digits count as numbers."""
    return [
        (1, int(part), "") if part.isdigit() else (0, 0, part)
        for part in re.findall(r"[0-9]+|[^0-9]+", version)
    ]
