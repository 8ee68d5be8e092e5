"""Load bundles at the start, and reload them while the service runs.

A bundle is verified and warmed up next to the model that it replaces.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from oodguard.models.errors import GuardError
from oodguard.service.inference.model import LoadedModel
from oodguard.service.registry.deployment import Deployment
from oodguard.service.registry.registry import ModelRegistry
from oodguard.service.telemetry.metrics import UNKNOWN_MODEL, Metrics, ReloadOutcome

logger = logging.getLogger("oodguard.reload")

EVENTS: Mapping[ReloadOutcome, str] = {
    "loaded": "A bundle was loaded.",
    "unchanged": "A bundle is unchanged.",
    "removed": "A model was removed.",
    "refused": "A bundle was refused.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """The outcome of a reload for one folder; `detail` is the error if it was refused."""

    folder: Path
    model: str
    version: str
    outcome: ReloadOutcome
    detail: str = ""


@dataclass(eq=False, kw_only=True)
class Reloader:
    """Load the bundles of the folders into the registry.

    Bundles are opened in a separate thread, one at a time. ONNX Runtime holds the interpreter lock
    for some milliseconds when it creates a session; requests are served before and after that.

    Args:
        registry: The served models.
        folders: Returns the folders of the bundles.
        load: Opens the bundle of a folder and warms the model up.
        deploy: Creates the deployment of a model.
        metrics: Counts reloads.
    """

    registry: ModelRegistry
    folders: Callable[[], Sequence[Path]]
    load: Callable[[Path], LoadedModel]
    deploy: Callable[[LoadedModel], Deployment]
    metrics: Metrics

    def __post_init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="loader")
        self._lock = asyncio.Lock()

    def start(self) -> None:
        """Load every bundle.

        Raises:
            GuardError: A bundle is refused, or there is no default model.
        """
        for folder in self.folders():
            deployment = self.deploy(self.load(folder))
            self.registry.put(folder, deployment)
            self._log(_change(folder, deployment, "loaded"))
        self.registry.require_default()

    async def reload(self, only: str | None = None) -> list[Change]:
        """Load new and changed bundles, and remove the models of folders that are missing.

        If a bundle is refused, the model of its folder remains served.

        Args:
            only: The name of the model to reload; None: all.

        Raises:
            UnknownModel: The model is not served.
            BundleError: The folder of bundles contains none.
        """
        async with self._lock:
            if only is not None:
                self.registry.find(only)
            present = self.folders()
            missing = [folder for folder in self.registry.folders if folder not in present]
            changes = [
                self._remove(folder) if folder in missing else await self._reload(folder)
                for folder in [*present, *missing]
                if self._is_selected(folder, only)
            ]
        for change in changes:
            self.metrics.count_reload(change.model, change.outcome)
            self._log(change)
        return changes

    def close(self) -> None:
        """Stop the thread."""
        self._thread.shutdown(cancel_futures=True)

    def _is_selected(self, folder: Path, only: str | None) -> bool:
        served = self.registry.at(folder)
        return only is None or (served is not None and served.name == only)

    async def _reload(self, folder: Path) -> Change:
        loop = asyncio.get_running_loop()
        served = self.registry.at(folder)
        try:
            model = await loop.run_in_executor(self._thread, self.load, folder)
            if served and served.model.bundle.sha256 == model.bundle.sha256:
                return _change(folder, served, "unchanged")
            new = self.deploy(model)
            try:
                self.registry.put(folder, new)
            except GuardError:
                new.close()
                raise
        except (GuardError, OSError) as error:
            return _change(folder, served, "refused", str(error))
        return _change(folder, new, "loaded")

    def _remove(self, folder: Path) -> Change:
        served = self.registry.at(folder)
        try:
            self.registry.remove(folder)
        except GuardError as error:
            return _change(folder, served, "refused", str(error))
        return _change(folder, served, "removed")

    def _log(self, change: Change) -> None:
        served = self.registry.at(change.folder)
        fields = {
            "folder": str(change.folder),
            "model": change.model,
            "version": change.version,
            "outcome": change.outcome,
            "detail": change.detail,
            "providers": served.model.engine.providers if served else (),
        }
        level = logging.WARNING if change.outcome == "refused" else logging.INFO
        logger.log(level, EVENTS[change.outcome], extra={"fields": fields})


def _change(
    folder: Path, deployment: Deployment | None, outcome: ReloadOutcome, detail: str = ""
) -> Change:
    # The name in a refused bundle that was never served cannot be trusted.
    name, version = (
        (deployment.name, deployment.version) if deployment else (UNKNOWN_MODEL, "unknown")
    )
    return Change(folder=folder, model=name, version=version, outcome=outcome, detail=detail)
