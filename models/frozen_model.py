"""The base of validated, immutable data."""

from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticKnownError


class FrozenModel(BaseModel):
    """Immutable data; unknown keys are errors, and so are booleans in place of numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _is_no_boolean_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401
        """Reject true and false where pydantic would accept them as 1 and 0."""
        if isinstance(value, bool) and info.field_name is not None:
            annotation = cls.model_fields[info.field_name].annotation
            parts = {annotation, *get_args(annotation)}
            kinds = parts | {part.__origin__ for part in parts if get_origin(part) is Annotated}
            if bool not in kinds and kinds & {int, float}:
                raise PydanticKnownError("int_type" if int in kinds else "float_type")
        return value


class FiniteModel(FrozenModel):
    """Immutable data without infinite numbers and NaN."""

    model_config = ConfigDict(allow_inf_nan=False)
