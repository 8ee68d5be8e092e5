"""The plan of a run of `oodguard score`: written first, and compared when it is continued."""

from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from oodguard.models.bundle import Bundle
from oodguard.models.decision import Policy
from oodguard.models.frozen_model import FrozenModel
from oodguard.service.errors import ScoringError
from oodguard.service.regular_file import read_regular_file
from oodguard.service.scoring.picture_source import SHOWN, PictureSource, abbreviated

FORMAT: Final = "oodguard-score-1"

PLAN_FILE: Final = "_plan.json"
"""Readers of Parquet folders ignore names with this first character."""

MAX_PLAN_BYTES: Final = 2**26
"""It has the arguments of the command, up to some MiB of them where a shell expands a pattern."""

PART_PIXELS: Final = 2**22
"""The number of pixels of the images of a part, which a killed run scores again."""

MIN_PART_ROWS: Final = 64
"""One batch."""

PARTS: Final = 32
"""The smallest number of parts of a source that is large enough: every worker has some."""

MAX_PARTS: Final = 10_000

RATE: Final = "the false-discovery rate"


class ModelName(FrozenModel):
    """The model of a run."""

    name: str
    version: str
    sha256: str


class PolicyRecord(FrozenModel):
    """The policy of a run, with its threshold; None: it depends on the predicted class."""

    score: str
    alpha: float | None
    delta: float | None
    by_class: bool
    under_attack: int | None
    beta: float | None
    threshold: float | None

    @property
    def policy(self) -> Policy:
        """The policy itself."""
        return Policy(**self.model_dump(exclude={"threshold"}))


class ScoringPlan(FrozenModel):
    """The content that a run computes.

    Attributes:
        format: The format of the folder.
        model: The model.
        policy: The policy.
        fdr: The false-discovery rate at which all images are decided together.
        source: The source as it was given.
        source_sha256: Of its files.
        images: The number of pictures.
        part_rows: The number of pictures of each part, except for the last.
        max_pixels: The most pixels of a picture.
        max_bytes: The most bytes of a picture.
    """

    format: str = FORMAT
    model: ModelName
    policy: PolicyRecord
    fdr: float | None
    source: tuple[str, ...]
    source_sha256: str
    images: int
    part_rows: int
    max_pixels: int
    max_bytes: int

    @property
    def parts(self) -> int:
        """The number of parts."""
        return -(-self.images // self.part_rows)

    def bounds(self, part: int) -> tuple[int, int]:
        """Return the first picture of a part, and the end, exclusive."""
        return part * self.part_rows, min((part + 1) * self.part_rows, self.images)


def new_plan(  # noqa: PLR0913 - the parts of a plan
    bundle: Bundle,
    policy: Policy,
    threshold: float | None,
    source: PictureSource,
    *,
    fdr: float | None,
    max_pixels: int,
    max_bytes: int,
) -> ScoringPlan:
    """Return the plan of a run."""
    manifest = bundle.manifest
    pixels = manifest.input.height * manifest.input.width
    rows = max(MIN_PART_ROWS, min(PART_PIXELS // pixels, source.rows // PARTS))
    return ScoringPlan(
        model=ModelName(name=manifest.name, version=manifest.version, sha256=bundle.sha256),
        policy=PolicyRecord(**asdict(policy), threshold=threshold),
        fdr=fdr,
        source=source.arguments,
        source_sha256=source.sha256,
        images=source.rows,
        part_rows=max(rows, -(-source.rows // MAX_PARTS)),
        max_pixels=max_pixels,
        max_bytes=max_bytes,
    )


def read_plan(folder: Path) -> ScoringPlan | None:
    """Return the plan of an earlier run, or None if there is none.

    Raises:
        ScoringError: The file is not a plan.
    """
    path = folder / PLAN_FILE
    try:
        return ScoringPlan.model_validate_json(read_regular_file(path, MAX_PLAN_BYTES))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise ScoringError(
            f"{path} is not a plan of this version of oodguard score. Remove {folder}, or give"
            " another --out"
        ) from error


def check_same(folder: Path, earlier: ScoringPlan, plan: ScoringPlan) -> None:
    """Check that a run continues what an earlier one computed.

    Raises:
        ScoringError: The error names what differs, with both values.
    """
    before, now = _facts(earlier), _facts(plan)
    for name, value in now.items():
        if before[name] != value:
            remedy = "Give the same as before to continue, or another --out"
            if name == RATE:
                remedy += (
                    ". Decisions at another rate follow from the p-values of a complete run,"
                    " without scoring again: docs/score.md#another-rate"
                )
            raise ScoringError(
                f"{folder} has verdicts with {name} {before[name]}, received {value}. {remedy}"
            )


def _facts(plan: ScoringPlan) -> dict[str, str]:
    """Return the parts of a plan as text, in the order in which they are compared."""
    model = plan.model
    policy = plan.policy.model_dump(exclude_none=True, exclude_defaults=True)
    return {
        "the model": f"{model.name} {model.version} (sha256 {model.sha256[:12]})",
        "the policy": ", ".join(f"{key} {value}" for key, value in policy.items()),
        RATE: "none" if plan.fdr is None else str(plan.fdr),
        "the source": _source_text(plan.source),
        "a number of images": f"{plan.images:,}",
        "the limits": f"of {plan.max_pixels:,} pixels and {plan.max_bytes:,} bytes",
        "the files of the source": f"{plan.source_sha256[:12]} (sha256 of names, sizes and times)",
        "a number of images in each part": f"{plan.part_rows:,}",
    }


def _source_text(source: Sequence[str]) -> str:
    if len(source) <= SHOWN:
        return " ".join(source)
    digest = sha256("\n".join(source).encode()).hexdigest()
    return f"{abbreviated(source)} (sha256 {digest[:12]})"
