"""Bundles looked at again while the service runs: verified, warmed up beside the old, swapped."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from oodguard.models.errors import GuardError
from oodguard.service.inference.model import LoadedModel
from oodguard.service.registry.deployment import Deployment
from oodguard.service.registry.registry import ModelRegistry
from oodguard.service.telemetry.metrics import Metrics

logger = logging.getLogger("oodguard.reload")

Outcome: TypeAlias = Literal["loaded", "unchanged", "removed", "refused"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What a reload made of one folder; `detail` says why it was refused."""

    folder: Path
    model: str
    version: str
    outcome: Outcome
    detail: str = ""


class Reloader:
    """Loads what the folders hold, at the start and again when told to.

    Bundles are opened in one thread of their own, one at a time. The interpreter is held for some
    milliseconds while ONNX Runtime makes a session; requests go on before and after that.

    Args:
        catalog: The models that are served.
        folders: Finds the folders of the bundles.
        load: A folder to a model that has been warmed up.
        deploy: A model to one at work.
        metrics: Where reloads are counted.
    """

    def __init__(
        self,
        catalog: ModelRegistry,
        *,
        folders: Callable[[], Sequence[Path]],
        load: Callable[[Path], LoadedModel],
        deploy: Callable[[LoadedModel], Deployment],
        metrics: Metrics,
    ) -> None:
        self._catalog = catalog
        self._folders = folders
        self._load = load
        self._deploy = deploy
        self._metrics = metrics
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="loader")
        self._one_at_a_time = asyncio.Lock()

    def start(self) -> None:
        """Load every bundle.

        Raises:
            GuardError: One is refused, or it is not clear which one is the default.
        """
        for folder in self._folders():
            deployment = self._deploy(self._load(folder))
            self._catalog.put(folder, deployment)
            self._tell(_change(folder, deployment, "loaded"))
        self._catalog.require_default()

    async def reload(self, only: str | None = None) -> list[Change]:
        """Bring what is served in line with what the folders hold.

        A bundle that is refused leaves the model of its folder serving.

        Args:
            only: The name of the one model that is meant; none: all of them.

        Raises:
            UnknownModel: No model of that name is served.
            BundleError: The folder of bundles holds none.
        """
        async with self._one_at_a_time:
            if only is not None:
                self._catalog.find(only)
            found = self._folders()
            gone = [folder for folder in self._catalog.folders if folder not in found]
            meant = [folder for folder in [*found, *gone] if self._is_meant(folder, only)]
            changes = [
                self._remove(folder) if folder in gone else await self._renew(folder)
                for folder in meant
            ]
        for change in changes:
            self._metrics.count_reload(change.model, change.outcome)
            self._tell(change)
        return changes

    def close(self) -> None:
        """Stop the thread."""
        self._thread.shutdown(cancel_futures=True)

    def _is_meant(self, folder: Path, only: str | None) -> bool:
        serving = self._catalog.at(folder)
        return only is None or (serving is not None and serving.name == only)

    async def _renew(self, folder: Path) -> Change:
        loop = asyncio.get_running_loop()
        serving = self._catalog.at(folder)
        try:
            model = await loop.run_in_executor(self._thread, self._load, folder)
            if serving and serving.model.bundle.sha256 == model.bundle.sha256:
                return _change(folder, serving, "unchanged")
            arriving = self._deploy(model)
            try:
                self._catalog.put(folder, arriving)
            except GuardError:
                arriving.close()
                raise
        except (GuardError, OSError) as error:
            return _change(folder, serving, "refused", str(error))
        return _change(folder, arriving, "loaded")

    def _remove(self, folder: Path) -> Change:
        serving = self._catalog.at(folder)
        try:
            self._catalog.remove(folder)
        except GuardError as error:
            return _change(folder, serving, "refused", str(error))
        return _change(folder, serving, "removed")

    def _tell(self, change: Change) -> None:
        serving = self._catalog.at(change.folder)
        fields = {
            "folder": str(change.folder),
            "model": change.model,
            "version": change.version,
            "outcome": change.outcome,
            "detail": change.detail,
            "providers": serving.model.engine.providers if serving else (),
        }
        level = logging.WARNING if change.outcome == "refused" else logging.INFO
        logger.log(level, "bundle %s", change.outcome, extra={"fields": fields})


def _change(
    folder: Path, deployment: Deployment | None, outcome: Outcome, detail: str = ""
) -> Change:
    # A bundle that was never served and is refused has no name that could be trusted.
    name, version = (deployment.name, deployment.version) if deployment else ("unknown", "unknown")
    return Change(folder=folder, model=name, version=version, outcome=outcome, detail=detail)
