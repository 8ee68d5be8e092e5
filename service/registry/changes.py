"""The outcomes of a reload, and the texts that describe them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from oodguard.service.registry.deployment import Deployment
from oodguard.service.registry.policy_file import PolicyFile
from oodguard.service.registry.routing import Routing
from oodguard.service.settings import POLICY_FILE
from oodguard.service.telemetry.metrics import UNKNOWN_MODEL, ReloadOutcome

EVENTS: Mapping[ReloadOutcome, str] = {
    "loaded": "A bundle was loaded.",
    "policy-changed": "The policy of a model was changed.",
    "unchanged": "A bundle is unchanged.",
    "removed": "A model was removed.",
    "refused": "A bundle was refused.",
}

POLICY_EVENTS: Mapping[ReloadOutcome, str] = {
    "loaded": "The policy file was loaded.",
    "unchanged": "The policy file is unchanged.",
    "removed": "The policy file was removed: the settings apply.",
    "refused": "The policy file was refused.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """The outcome of a reload for one folder, or for policy.toml.

    `detail` is the error if it was refused, or the previous and the new values of a policy and
    where it does not hold in full.
    """

    folder: Path
    model: str
    version: str
    outcome: ReloadOutcome
    detail: str = ""


class Refusals:
    """The folders and the policy file that the last reload of each has refused."""

    def __init__(self) -> None:
        self._models: dict[Path, str] = {}

    @property
    def models(self) -> frozenset[str]:
        """The models that they concern."""
        return frozenset(self._models.values())

    def keep(self, folders: Collection[Path]) -> None:
        """Forget all others: files that are not there are no longer refused."""
        self._models = {at: model for at, model in self._models.items() if at in folders}

    def add(self, changes: Iterable[Change]) -> None:
        """Record the outcomes of a reload, of which the last of each folder counts."""
        for each in changes:
            if each.outcome == "refused":
                self._models[each.folder] = each.model
            else:
                self._models.pop(each.folder, None)


def bundle_change(
    folder: Path, deployment: Deployment | None, outcome: ReloadOutcome, detail: str = ""
) -> Change:
    """Return the outcome for the bundle of a folder."""
    # The name in a refused bundle that was never served cannot be trusted.
    name, version = (
        (deployment.name, deployment.version) if deployment else (UNKNOWN_MODEL, "unknown")
    )
    return Change(folder=folder, model=name, version=version, outcome=outcome, detail=detail)


def policy_change(policy: PolicyFile, outcome: ReloadOutcome, detail: str = "") -> Change:
    """Return the outcome for the policy file."""
    path = policy.path or Path(POLICY_FILE)
    return Change(folder=path, model=POLICY_FILE, version="", outcome=outcome, detail=detail)


def policy_difference(old: Deployment, new: Deployment) -> str:
    """Return the values in which the policies of two deployments of a bundle differ."""
    before, after = asdict(old.model.guard.policy), asdict(new.model.guard.policy)
    before["threshold"], after["threshold"] = (each.model.guard.threshold for each in (old, new))
    return _difference(before, after)


def with_limitations(detail: str, deployment: Deployment) -> str:
    """Return a detail with what does not hold of the policy that is served."""
    found = (
        f"the policy does not hold in full: {each}" for each in deployment.model.guard.limitations
    )
    return "; ".join([*([detail] if detail else []), *found])


def routing_difference(old: Routing, new: Routing) -> str:
    """Return the values in which the default and the shadow models differ."""
    before, after = (
        {
            "default_model": each.default and each.default.text,
            "shadow_model": each.shadow and each.shadow.text,
            "shadow_share": each.shadow_share,
        }
        for each in (old, new)
    )
    return _difference(before, after)


def _difference(old: Mapping[str, object], new: Mapping[str, object]) -> str:
    """Return the values that differ, such as `alpha: 0.05 -> 0.02, delta: none -> 0.05`."""
    return ", ".join(
        f"{key}: {_shown(old[key])} -> {_shown(new[key])}" for key in old if old[key] != new[key]
    )


def _shown(value: object) -> str:
    return "none" if value is None else str(value)
