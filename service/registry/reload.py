"""Load bundles and policy.toml at the start, and reload them while the service runs.

A bundle is verified and warmed up next to the model that it replaces. A policy is checked against
every bundle before it is used.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from oodguard.models.bundle import Bundle, open_bundle
from oodguard.models.errors import BundleError, GuardError
from oodguard.service.errors import PolicyError
from oodguard.service.inference.model import ChoosePolicy, LoadedModel, errors_with_folder
from oodguard.service.registry.changes import (
    EVENTS,
    POLICY_EVENTS,
    Change,
    Refusals,
    bundle_change,
    policy_change,
    policy_difference,
    routing_difference,
    with_limitations,
)
from oodguard.service.registry.deployment import Deployment
from oodguard.service.registry.policy_file import PolicyFile
from oodguard.service.registry.registry import ModelRegistry
from oodguard.service.settings import POLICY_FILE
from oodguard.service.telemetry.metrics import Metrics, ReloadOutcome

logger = logging.getLogger("oodguard.reload")


@dataclass(eq=False, kw_only=True)
class Reloader:
    """Load the bundles of the folders into the registry.

    Bundles are opened in a separate thread, one at a time. ONNX Runtime holds the interpreter lock
    for some milliseconds when it creates a session; requests are served before and after that.

    Args:
        registry: The served models.
        folders: Returns the folders of the bundles.
        read_policy: Reads policy.toml.
        load: Opens the bundle of a folder with a policy, and warms the model up.
        deploy: Creates the deployment of a model.
        metrics: Counts reloads.
    """

    registry: ModelRegistry
    folders: Callable[[], Sequence[Path]]
    read_policy: Callable[[], PolicyFile]
    load: Callable[[Path, ChoosePolicy], LoadedModel]
    deploy: Callable[[LoadedModel], Deployment]
    metrics: Metrics

    def __post_init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="loader")
        self._lock = asyncio.Lock()
        self._refusals = Refusals()

    def start(self, *, record: bool = True) -> None:
        """Load policy.toml and every bundle.

        Args:
            record: Whether to log it: one of the workers does.

        Raises:
            GuardError: A bundle or the policy is refused, or there is no default model.
        """
        self._policy = self.read_policy()
        for folder in self.folders():
            with errors_with_folder(folder):
                deployment = self.deploy(self.load(folder, self._policy.policy))
            self.registry.put(folder, deployment)
            if record:
                self._log(bundle_change(folder, deployment, "loaded"))
                _log_limitations(deployment)
        self._policy.check([each.model.bundle for each in self.registry.deployments()])
        self.registry.route(self._policy.routing)
        self._publish_refusals()
        if self._policy.found and record:
            self._log(policy_change(self._policy, "loaded"))

    async def reload(self, only: str | None = None, *, record: bool = True) -> list[Change]:
        """Load policy.toml, and new and changed bundles; remove the models of missing folders.

        If a bundle is refused, the model of its folder remains served. If the policy is refused,
        the previous one remains in effect.

        Args:
            only: The name of the model to reload; None: all. The policy is loaded whole, for all
                models.
            record: Whether to count and log it: one of the workers does.

        Raises:
            UnknownModel: The model is not served.
        """
        async with self._lock:
            if only is not None:
                self.registry.find(only)
            shadow, default = self.registry.shadow, self.registry.default
            changes = await self._changes(only)
            self._refusals.add(changes)
            self._publish_refusals()
            for change in changes if record else ():
                self.metrics.count_reload(change.model, change.outcome)
                self._log(change)
                served = self.registry.at(change.folder)
                if served and change.outcome in {"loaded", "policy-changed"}:
                    _log_limitations(served)
            before, after = _reference(default), _reference(self.registry.default)
            if record and after != before:
                logger.info(
                    "The default model was changed.",
                    extra={"fields": {"before": before, "after": after}},
                )
            if record and shadow and self.registry.routing.shadow and not self.registry.shadow:
                logger.warning(
                    "The shadow model predicts no more requests: it was removed, or became the"
                    " default model.",
                    extra={"fields": {"shadow": self.registry.routing.shadow.text}},
                )
        return changes

    def fingerprint(self) -> list[list[str]]:
        """Return what is served, as a value that is the same in processes that serve the same."""
        routing = self.registry.routing
        served = [
            [str(folder), each.model.bundle.sha256, repr(each.model.guard.policy)]
            for folder, each in self.registry.by_folder()
        ]
        references = (routing.default, routing.shadow, routing.shadow_share)
        default = self.registry.default
        return [*served, [default.name, default.version], [repr(each) for each in references]]

    def close(self) -> None:
        """Stop the thread."""
        self._thread.shutdown(cancel_futures=True)

    async def _changes(self, only: str | None) -> list[Change]:
        try:
            present = self.folders()
        except BundleError as error:
            folder = self._policy.settings.models or Path()
            return [bundle_change(folder, None, "refused", str(error))]
        # The policy is read in every reload.
        self._refusals.keep({*present, *self.registry.folders})
        missing = [folder for folder in self.registry.folders if folder not in present]
        before = self._policy
        refusal = await self._accept_policy(present)
        changes = [
            await self._reload(folder)
            for folder in present
            if self._is_selected(folder, only) or self._has_another_policy(folder)
        ]
        # After the loads, since the new default model may be a new bundle, and before the
        # removals, since the previous one may be missing.
        routed = self._route(before, refusal)
        changes += routed
        if not refusal and any(each.outcome == "refused" for each in routed):
            # Only if the new default or shadow model could not be loaded.
            changes += [
                await self._reload(folder) for folder in present if self._has_another_policy(folder)
            ]
        changes += [self._remove(folder) for folder in missing if self._is_selected(folder, only)]
        return changes

    def _is_selected(self, folder: Path, only: str | None) -> bool:
        served = self.registry.at(folder)
        return only is None or (served is not None and served.name == only)

    def _has_another_policy(self, folder: Path) -> bool:
        served = self.registry.at(folder)
        if served is None:
            return False
        try:
            return self._policy.policy(served.model.bundle) != served.model.guard.policy
        except PolicyError:
            # The policy is for the bundle that replaces the served one.
            return True

    async def _accept_policy(self, folders: Sequence[Path]) -> str:
        """Read policy.toml, and use it for the following loads unless it is refused.

        Returns:
            The reason for the refusal, or an empty text.
        """
        loop = asyncio.get_running_loop()
        served = {folder: self.registry.at(folder) for folder in self.registry.folders}
        bundles = {folder: each.model.bundle for folder, each in served.items() if each}
        try:
            policy = await loop.run_in_executor(self._thread, self.read_policy)
            if policy != self._policy:
                present = await loop.run_in_executor(self._thread, _bundles, folders, bundles)
                policy.check(present)
        except GuardError as error:
            return str(error)
        self._policy = policy
        return ""

    def _route(self, before: PolicyFile, refusal: str) -> list[Change]:
        """Set the default and the shadow model; return the change of the policy, if any."""
        old = self.registry.routing
        policy = self._policy
        if not refusal and policy != before:
            try:
                self.registry.route(policy.routing)
            except GuardError as error:
                refusal = str(error)
                self._policy = before
        if refusal:
            return [policy_change(policy, "refused", refusal)]
        if policy == before:
            return [policy_change(policy, "unchanged")] if policy.found else []
        outcome: ReloadOutcome = "loaded" if policy.found else "removed"
        return [policy_change(policy, outcome, routing_difference(old, self.registry.routing))]

    async def _reload(self, folder: Path) -> Change:
        loop = asyncio.get_running_loop()
        served = self.registry.at(folder)
        try:
            model = await loop.run_in_executor(self._thread, self.load, folder, self._policy.policy)
            same = served is not None and served.model.bundle.sha256 == model.bundle.sha256
            if served and same and served.model.guard.policy == model.guard.policy:
                return bundle_change(folder, served, "unchanged")
            new = self.deploy(model)
            try:
                self.registry.put(folder, new)
            except GuardError:
                new.close()
                raise
        except (GuardError, OSError) as error:
            return bundle_change(folder, served, "refused", str(error))
        if served and same:
            difference = policy_difference(served, new)
            return bundle_change(folder, new, "policy-changed", with_limitations(difference, new))
        return bundle_change(folder, new, "loaded", with_limitations("", new))

    def _remove(self, folder: Path) -> Change:
        served = self.registry.at(folder)
        try:
            self.registry.remove(folder)
        except GuardError as error:
            return bundle_change(folder, served, "refused", str(error))
        return bundle_change(folder, served, "removed")

    def _publish_refusals(self) -> None:
        served = {each.name for each in self.registry.deployments()}
        self.metrics.set_reloaded(served, self._refusals.models)

    def _log(self, change: Change) -> None:
        served = self.registry.at(change.folder)
        fields = {
            "folder": str(change.folder),
            "model": change.model,
            "version": change.version,
            "outcome": change.outcome,
            "detail": change.detail,
            "providers": served.model.session.providers if served else (),
        }
        level = logging.WARNING if change.outcome == "refused" else logging.INFO
        events = POLICY_EVENTS if change.model == POLICY_FILE else EVENTS
        logger.log(level, events[change.outcome], extra={"fields": fields})


def _bundles(folders: Sequence[Path], served: Mapping[Path, Bundle]) -> list[Bundle]:
    """Return the bundles of the folders as they will be served, without their graphs.

    A bundle that cannot be opened does not replace the served one.
    """
    bundles = []
    for folder in folders:
        try:
            bundles.append(replace(open_bundle(folder), model=b""))
        except (GuardError, OSError):
            bundles += [served[folder]] if folder in served else []
    return bundles


def _log_limitations(deployment: Deployment) -> None:
    for limitation in deployment.model.guard.limitations:
        logger.warning(
            "The policy does not hold in full.",
            extra={
                "fields": {
                    "model": deployment.name,
                    "version": deployment.version,
                    "limitation": limitation,
                }
            },
        )


def _reference(deployment: Deployment) -> str:
    return f"{deployment.name}@{deployment.version}"
