"""The measured costs of verdicts, as `python -m benchmarks.capacity` writes them."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator

from oodguard.models.frozen_model import FiniteModel
from oodguard.models.validation_errors import describe_errors
from oodguard.service.capacity.bulk_queue import BatchServer
from oodguard.service.errors import CapacityError, UnreadableFile
from oodguard.service.regular_file import read_regular_file

MAX_BYTES = 2**20

Seconds = Annotated[float, Field(gt=0)]


class PictureCost(FiniteModel):
    """The CPU seconds of a verdict on one picture in one request, by one worker on one CPU."""

    alone_s: Seconds
    """With one client: every batch has one picture."""

    full_s: Seconds
    """With 64 clients: batches have `full_batch` pictures."""

    full_batch: float = Field(ge=1)
    """Mean number of pictures in a batch, with 64 clients."""

    bytes: int | None = Field(default=None, gt=0)
    """The size of the file."""

    width: int | None = Field(default=None, gt=0)
    """The width of the picture, in pixels."""

    height: int | None = Field(default=None, gt=0)
    """The height of the picture, in pixels."""

    def server(self) -> BatchServer:
        """Return the worker with a + b = `alone_s` and a / `full_batch` + b = `full_s`."""
        saved = max(0.0, self.alone_s - self.full_s)
        fixed = saved / (1 - 1 / self.full_batch) if self.full_batch > 1 else 0.0
        # b must be above 0, whatever the error of the measurement.
        fixed = min(fixed, 0.95 * self.alone_s)
        return BatchServer(fixed_s=fixed, each_s=max(self.alone_s, self.full_s) - fixed)


class LoadCheck(FiniteModel):
    """The response time at one load, as the model predicts it and as it was measured."""

    picture: str
    """The name of the picture that was sent."""

    load: float = Field(gt=0, lt=1)
    """The rate, as a share of the largest rate of the worker."""

    predicted_p99_ms: float = Field(gt=0)
    measured_p99_ms: float = Field(gt=0)

    @property
    def factor(self) -> float:
        """The ratio of the measured and the predicted response time, at least 1."""
        return max(1.0, self.measured_p99_ms / self.predicted_p99_ms)


class ModelCosts(FiniteModel):
    """The costs of one bundle."""

    first_worker_bytes: int = Field(gt=0)
    """Memory of a service with one worker, idle."""

    each_worker_bytes: int = Field(ge=0)
    """Memory of each further worker, idle."""

    pictures: Mapping[str, PictureCost] = Field(min_length=1)
    """By kind and size of the picture, such as `png-32`, or by the name of its file."""

    checks: tuple[LoadCheck, ...] = ()
    """By ascending load; none: nothing was checked on this machine."""

    @model_validator(mode="after")
    def _checks_ascend(self) -> Self:
        loads = [each.load for each in self.checks]
        if loads != sorted(set(loads)):
            raise ValueError(f"the loads of checks are {loads}, expected ascending values")
        return self


class Costs(FiniteModel):
    """The costs on one machine."""

    machine: Mapping[str, str]
    command: str
    models: Mapping[str, ModelCosts] = Field(min_length=1)


def read_costs(file: Path | None) -> Costs:
    """Read costs; without a file, those that are packaged.

    Raises:
        CapacityError: The file cannot be read, or has invalid values.
    """
    path = file or Path(str(files("oodguard.service.capacity"))) / "costs.json"
    try:
        return Costs.model_validate_json(read_regular_file(path, MAX_BYTES))
    except FileNotFoundError:
        raise CapacityError(
            f"{path} does not exist, expected a file of `python -m benchmarks.capacity`"
        ) from None
    except UnreadableFile as error:
        raise CapacityError(str(error)) from error
    except ValidationError as error:
        raise CapacityError(f"{path}: {describe_errors(error)}") from None
