"""policy.toml: policies by model, the default model and the shadow model.

Its values precede the settings. Every reload reads it again, and uses it whole or not at all.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from oodguard.models.bundle import Bundle
from oodguard.models.decision import Policy
from oodguard.models.errors import BundleError, CalibrationError
from oodguard.models.policy_thresholds import policy_thresholds
from oodguard.models.validation_errors import describe_error
from oodguard.models.versions import split_reference
from oodguard.service.errors import PolicyError, UnreadableFile
from oodguard.service.inference.model import policy_values
from oodguard.service.registry.routing import Reference, Routing, Served
from oodguard.service.regular_file import read_regular_file
from oodguard.service.settings import POLICY_FILE, Settings, variable
from oodguard.service.toml_file import parse_toml

MAX_BYTES = 2**16


def _absent(value: object) -> object:
    """TOML has no null: "none" means no value, as in settings."""
    return None if value == "none" else value


Rate: TypeAlias = Annotated[float, Field(gt=0, lt=1)]

Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=100)]

_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class _Table(BaseModel):
    """A table is equal to one with the same keys and values.

    A key that is set to its default differs from an absent one: `alpha = "none"` replaces the value
    of the settings, which is in effect without the key.
    """

    model_config = _STRICT

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Table):
            return NotImplemented
        return self.model_dump(exclude_unset=True) == other.model_dump(exclude_unset=True)

    __hash__ = None  # type: ignore[assignment]  # pydantic's hash ignores which keys are set


class _ModelPolicy(_Table):
    # A key that is not set leaves the value of the settings; the defaults are not used.
    score: Name = ""
    alpha: Annotated[Rate | None, BeforeValidator(_absent)] = None
    delta: Annotated[Rate | None, BeforeValidator(_absent)] = None
    by_class: bool = False
    under_attack: Annotated[
        Annotated[int, Field(ge=1, le=255)] | None, BeforeValidator(_absent)
    ] = None
    beta: Annotated[Rate | None, BeforeValidator(_absent)] = None


class _Document(_Table):
    default_model: Name | None = None
    shadow_model: Annotated[Name | None, BeforeValidator(_absent)] = None
    shadow_share: Annotated[float, Field(ge=0, le=1)] | None = None
    models: Mapping[str, _ModelPolicy] = Field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyFile:
    """The values in effect: those of the file, and the settings where it has none.

    Attributes:
        path: The file, which exists if `found`; None: no place for a file is configured.
        settings: The settings.
        found: Whether the file exists.
        document: Its content.
    """

    path: Path | None
    settings: Settings
    found: bool = False
    document: _Document = field(default_factory=_Document)

    def policy(self, bundle: Bundle) -> Policy:
        """Return the policy of a bundle.

        Raises:
            PolicyError: The file's values exclude each other, or need a score, classes, labels,
                attacked images or more calibration images than the bundle has.
        """
        name, version = bundle.manifest.name, bundle.manifest.version
        values = policy_values(bundle, self.settings)
        used = [key for key in (name, f"{name}@{version}") if key in self.document.models]
        for key in used:
            values |= self.document.models[key].model_dump(exclude_unset=True)
        if not used:
            return Policy(**values)
        try:
            policy = Policy(**values)
            policy_thresholds(bundle, policy)
        except (BundleError, CalibrationError) as error:
            key = used[-1] if "@" in used[-1] else f"{used[-1]} ({name}@{version})"
            raise PolicyError(f"{self.path}: models.{key}: {error}") from error
        return policy

    @property
    def routing(self) -> Routing:
        """The default model and the shadow model."""
        share = self.document.shadow_share
        return Routing(
            default=self._reference("default_model"),
            shadow=self._reference("shadow_model"),
            shadow_share=self.settings.shadow_share if share is None else share,
            # The only bundle was chosen by the operator, whatever its version.
            prerelease=self.settings.models is None,
        )

    def check(self, bundles: Collection[Bundle]) -> None:
        """Check every value against the bundles that are served.

        Raises:
            PolicyError: A table names a model that is not served, a shadow model has no share or a
                share no shadow model, or a policy cannot be used for its bundle.
            BundleError: The default or the shadow model is not served, or both are the same.
        """
        served: dict[str, list[str]] = {}
        for bundle in bundles:
            served.setdefault(bundle.manifest.name, []).append(bundle.manifest.version)
        self._check_names(served)
        for bundle in bundles:
            self.policy(bundle)
        routing = self.routing
        if routing.shadow is None and self.document.shadow_share is not None:
            raise PolicyError(
                f"{self.path}: shadow_share is {self.document.shadow_share:g}, but there is no"
                " shadow model: set shadow_model, or remove shadow_share"
            )
        routing.check(served)
        if routing.shadow is not None and not routing.shadow_share:
            raise PolicyError(
                f"{routing.shadow.source} is {routing.shadow.text}, but its share is 0: set"
                ' shadow_share above 0, or shadow_model to "none"'
            )

    def _check_names(self, served: Served) -> None:
        for key in self.document.models:
            name, version = split_reference(key)
            if name not in served or version not in {None, *served[name]}:
                known = [f"{each}@{one}" for each in sorted(served) for one in served[each]]
                raise PolicyError(
                    f"{self.path}: models.{key[:100]} is not a served model, expected one of:"
                    f" {', '.join([*sorted(served), *known])}"
                )

    def _reference(self, key: str) -> Reference | None:
        if key in self.document.model_fields_set:
            text, source = getattr(self.document, key), f"{self.path}: {key}"
        else:
            text, source = getattr(self.settings, key), variable(key)
        return None if text is None else Reference(text=text, source=source)


def policy_path(settings: Settings) -> Path | None:
    """Return the configured place of policy.toml, if there is one."""
    return settings.policy or (settings.models and settings.models / POLICY_FILE)


def read_policy(settings: Settings) -> PolicyFile:
    """Read policy.toml. Without a file, the settings apply.

    Raises:
        PolicyError: The file cannot be read, may be incomplete, is not TOML, or has an invalid
            value.
    """
    path = policy_path(settings)
    content = None if path is None else _read(path)
    if path is None or content is None:
        return PolicyFile(path=path, settings=settings)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PolicyError(f"{path}: byte {error.start} is invalid, expected UTF-8") from error
    try:
        document = _Document.model_validate(parse_toml(text))
    except ValidationError as error:
        faults = error.errors(include_url=False)
        found = "; ".join(map(_describe, faults))
        raise PolicyError(f"{path}: {found}") from None
    except ValueError as error:
        raise PolicyError(f"{path}: invalid TOML: {error}") from error
    return PolicyFile(path=path, settings=settings, found=True, document=document)


def _describe(fault: ErrorDetails) -> str:
    """Describe an invalid value, and of an unknown key the known ones and the right place."""
    text = describe_error(fault, mapping="table")
    if fault["type"] != "extra_forbidden":
        return text
    *tables, key = fault["loc"]
    here, other, place = (
        (_ModelPolicy, _Document, "above the first table")
        if tables
        else (_Document, _ModelPolicy, "in a table [models.NAME]")
    )
    known = f"{text}, expected {', '.join(here.model_fields)}"
    return f"{known}: write {key} {place}" if key in other.model_fields else known


def _read(path: Path) -> bytes | None:
    """Return the content of the file, or None if there is none."""
    try:
        content = read_regular_file(path, MAX_BYTES)
    except FileNotFoundError:
        if path.is_symlink():
            raise PolicyError(f"{path}: the target of the link does not exist") from None
        return None
    except UnreadableFile as error:
        raise PolicyError(str(error)) from error
    # A file that is being written is empty first, and may end anywhere: alpha = 0.0 is the
    # beginning of alpha = 0.05.
    if not content.endswith(b"\n"):
        raise PolicyError(
            f"{path}: the file is empty or its last line has no end, expected a complete file:"
            " write it under another name and rename it; to use the settings, remove it"
        )
    return content
