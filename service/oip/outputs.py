"""The tensors that an answer may hold: the one place that says which, and what is held back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.verdicts import Columns
from service.answers import Detail, coarse_p_value
from service.deployments.served import ServedModel

Datatype: TypeAlias = Literal["BOOL", "BYTES", "FP32", "FP64", "INT64"]
Values: TypeAlias = NDArray[Any] | list[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """One tensor of an answer.

    Attributes:
        datatype: By the protocol's names; BYTES are strings.
        width: Its second dimension, if it has one; the first is that of the images.
        values: Picks it out of what was found.
    """

    datatype: Datatype
    values: Callable[[Columns], Values]
    width: int | None = None

    def shape(self, images: int) -> list[int]:
        """Its shape for so many images."""
        return [images] if self.width is None else [images, self.width]


def offered(model: ServedModel, detail: Detail) -> Mapping[str, Output]:
    """The outputs of a model by name, in the order in which they come where none are named.

    With detail `verdict`, what an attacker could climb is not there, and p-values are coarse.
    """
    manifest, alpha = model.bundle.manifest, model.guard.policy.alpha
    verdict = {
        "class_id": Output(datatype="INT64", values=lambda found: found.class_ids),
        "label": Output(datatype="BYTES", values=_labels),
        "rejected": Output(datatype="BOOL", values=lambda found: found.rejected),
    }
    if detail == "verdict":
        return {
            **verdict,
            "p_value": Output(datatype="FP64", values=lambda found: _coarse(found, alpha)),
        }
    return {
        "logits": Output(
            datatype="FP32", values=lambda found: found.logits, width=len(manifest.classes)
        ),
        "scores": Output(
            datatype="FP32", values=lambda found: found.scores, width=len(manifest.scores)
        ),
        **verdict,
        "p_value": Output(datatype="FP64", values=lambda found: found.p_values),
        "confidence": Output(datatype="FP64", values=lambda found: found.confidences),
    }


def _labels(found: Columns) -> list[str]:
    return [found.classes[class_id] for class_id in found.class_ids.tolist()]


def _coarse(found: Columns, alpha: float) -> NDArray[np.float64]:
    return np.array([coarse_p_value(p, alpha) for p in found.p_values.tolist()], np.float64)
