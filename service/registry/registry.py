"""The registry of served models, by name and version; it may change while the service runs."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from oodguard.models.bundle import MANIFEST
from oodguard.models.errors import BundleError
from oodguard.models.versions import split_reference, version_key
from oodguard.service.errors import UnknownModel
from oodguard.service.registry.deployment import Deployment
from oodguard.service.registry.routing import Reference, Routing, find_version
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
    if not settings.models.is_dir():
        raise BundleError(
            f"OODGUARD_MODELS is {settings.models}, which is not a folder or not accessible:"
            " create it, or mount the volume"
        )
    if not folders:
        raise BundleError(
            f"OODGUARD_MODELS is {settings.models}, which contains no bundle, expected"
            f" NAME/{MANIFEST} or NAME/VERSION/{MANIFEST}"
        )
    return folders


class ModelRegistry:
    """The deployments by the folder of their bundle. It changes in the event loop only.

    Args:
        routing: The default model and the shadow model, which need not be served yet.
    """

    def __init__(self, routing: Routing) -> None:
        self._routing = routing
        self._by_folder: dict[Path, Deployment] = {}
        self._by_name: dict[str, dict[str, Deployment]] = {}
        self._default: Deployment | None = None

    @property
    def routing(self) -> Routing:
        """The default model and the shadow model."""
        return self._routing

    @property
    def default(self) -> Deployment:
        """The model that answers requests that name none."""
        if self._default is None:
            raise RuntimeError("route() was not called")
        return self._default

    @property
    def shadow(self) -> Deployment | None:
        """The model that also predicts a share of the default model's requests.

        None if none is configured, or if a reload has removed it or made it the default model:
        each image counts once.
        """
        reference = self._routing.shadow
        try:
            found = self.find(*split_reference(reference.text)) if reference else None
        except UnknownModel:
            return None
        return None if found is self._default else found

    @property
    def folders(self) -> Sequence[Path]:
        """The folders of the served bundles."""
        return tuple(self._by_folder)

    def by_folder(self) -> list[tuple[Path, Deployment]]:
        """Return all deployments with the folders of their bundles, sorted by folder."""
        return sorted(self._by_folder.items())

    def deployments(self) -> list[Deployment]:
        """Return all deployments, sorted by name, newest version first."""
        return [each for name in sorted(self._by_name) for each in self._by_name[name].values()]

    def versions(self, name: str) -> list[Deployment]:
        """Return the deployments of a name, newest version first.

        Raises:
            UnknownModel: The name is not served.
        """
        self.find(name)
        return list(self._by_name[name].values())

    def at(self, folder: Path) -> Deployment | None:
        """Return the deployment of a bundle's folder, if there is one."""
        return self._by_folder.get(folder)

    def find(self, name: str, version: str | None = None) -> Deployment:
        """Return the deployment of a name and version; without a version, the newest release.

        Raises:
            UnknownModel: The name or the version is not served.
        """
        name, version = find_version(self._by_name, name, version)
        return self._by_name[name][version]

    def route(self, routing: Routing) -> None:
        """Set the default model and the shadow model.

        Without a default model, the only name becomes the default, and remains it when other names
        are added.

        Raises:
            BundleError: One of them is not served, both are the same, or the default is ambiguous;
                see `Routing`.
        """
        routing.check(self._by_name)
        name, version = routing.default_in(self._by_name)
        if routing.default is None:
            routing = replace(routing, default=Reference(text=name, source="the only model"))
        self._routing = routing
        self._default = self._by_name[name][version]

    def put(self, folder: Path, deployment: Deployment) -> None:
        """Serve a deployment in place of the one from the same folder.

        Raises:
            BundleError: Another folder has a model of that name and version, or the default model
                would no longer be served.
        """
        if folder in self._by_folder and not self._has_default_without(folder, deployment):
            raise BundleError(
                f"{folder} contains {deployment.name} {deployment.version}, expected the default"
                f" model {self._default_text()}: restore its name and version, or restart the"
                " service"
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
                f"{folder} is missing, but its model {self._default_text()} is the default and"
                " remains served: restore the folder, or restart the service"
            )
        self._replace(folder, None)

    def close(self) -> None:
        """Close every deployment."""
        for deployment in self._by_folder.values():
            deployment.close()

    def _default_text(self) -> str:
        return self._routing.default.text if self._routing.default else self.default.name

    def _has_default_without(self, folder: Path, *added: Deployment) -> bool:
        """Return whether a default model remains if a folder's model is replaced by `added`."""
        others = [each for at, each in self._by_folder.items() if at != folder]
        try:
            self._routing.default_in(_by_name([*others, *added]))
        except BundleError:
            return False
        return True

    def _replace(self, folder: Path, new: Deployment | None) -> None:
        old = self._by_folder.pop(folder, None)
        if old:
            old.withdraw()
        if new:
            self._by_folder[folder] = new
            new.publish(old)
        self._by_name = _by_name(self._by_folder.values())
        # Before the first call of `route`, the default model may not be served yet.
        with suppress(BundleError):
            name, version = self._routing.default_in(self._by_name)
            self._default = self._by_name[name][version]
        if old:
            old.retire()


def _by_name(deployments: Iterable[Deployment]) -> dict[str, dict[str, Deployment]]:
    """Return the deployments by name and by version, newest version first."""
    by_name: dict[str, dict[str, Deployment]] = {}
    for each in sorted(deployments, key=lambda each: version_key(each.version), reverse=True):
        by_name.setdefault(each.name, {})[each.version] = each
    return by_name
