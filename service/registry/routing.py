"""Route requests that name no model: the default model, and the shadow model."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from oodguard.models.errors import BundleError
from oodguard.models.versions import is_prerelease, preference, split_reference
from oodguard.service.errors import UnknownModel

Served: TypeAlias = Mapping[str, Collection[str]]
"""The versions of each served model, by name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """A reference to a model.

    Attributes:
        text: `NAME` or `NAME@VERSION`.
        source: The setting or key that contains it, for errors.
    """

    text: str
    source: str

    def find(self, served: Served) -> tuple[str, str]:
        """Return the name and the version that it selects: without a version, see `preference`.

        Raises:
            BundleError: The name or the version is not served.
        """
        try:
            return find_version(served, *split_reference(self.text))
        except UnknownModel as error:
            raise BundleError(f"{self.source}: {error}") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Routing:
    """The models that answer or follow the requests that name no model.

    Attributes:
        default: The default model; None: the only name.
        shadow: The shadow model, if there is one.
        shadow_share: Share of the default model's requests that the shadow model predicts.
        prerelease: Whether a pre-release may be the default without a reference to its version.
    """

    default: Reference | None = None
    shadow: Reference | None = None
    shadow_share: float = 0.0
    prerelease: bool = False

    def default_in(self, served: Served) -> tuple[str, str]:
        """Return the name and the version of the default model.

        Raises:
            BundleError: Several names and no default, or the default is not served, or it is a
                pre-release that is not referred to.
        """
        if self.default is None and len(served) != 1:
            raise BundleError(
                f"several models are served ({', '.join(sorted(served))}) and none is the"
                " default: set OODGUARD_DEFAULT_MODEL, or default_model in policy.toml, to the one"
                " that answers POST /predict"
            )
        default = self.default or Reference(text=next(iter(served)), source="the only model")
        name, version = default.find(served)
        if is_prerelease(version) and "@" not in default.text and not self.prerelease:
            raise BundleError(
                f"{default.source}: every version of {name} is a pre-release, and {version} is the"
                f" newest, expected a release: set the default model to {name}@{version} to"
                " serve it nevertheless"
            )
        return name, version

    def check(self, served: Served) -> None:
        """Check that the default model and the shadow model are served, and are two models.

        Raises:
            BundleError: See `default_in`; or the shadow model is not served, or is the default.
        """
        default = self.default_in(served)
        if self.shadow is not None and self.shadow.find(served) == default:
            name, version = default
            raise BundleError(
                f"{self.shadow.source} is {self.shadow.text}, which is the default"
                f" model {name}@{version}: set the shadow model to another model or version"
            )


def find_version(served: Served, name: str, version: str | None) -> tuple[str, str]:
    """Return the name and version of a served model; without a version, see `preference`.

    Raises:
        UnknownModel: The name or the version is not served.
    """
    versions = served.get(name)
    if not versions:
        raise UnknownModel(
            f"the model {name[:64]!r} is not served, expected one of: {', '.join(sorted(served))}"
        )
    if version is None:
        return name, max(versions, key=preference)
    if version in versions:
        return name, version
    raise UnknownModel(
        f"the model {name!r} has no version {version[:32]!r}, expected one of:"
        f" {', '.join(versions)}"
    )
