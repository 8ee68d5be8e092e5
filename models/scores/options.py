"""The numbers that scores are free to choose, as validated data."""

from pydantic import BaseModel, ConfigDict, Field


class ScoreOptions(BaseModel):
    """A recipe's `[score_options]`; each default is the paper's unless its docstring says why not.

    `temperature` is that of `energy`; `gen_gamma` and `gen_top` are GEN's exponent and the number
    of largest probabilities that it looks at; `knn_bank` is how many training images' features KNN
    keeps, and `knn_neighbour` which of the nearest counts; `vim_dimensions` is the size of ViM's
    principal space, None for half of the features.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(default=1.0, gt=0)
    gen_gamma: float = Field(default=0.1, gt=0, lt=1)
    gen_top: int = Field(default=100, ge=1)
    knn_bank: int = Field(default=2000, ge=1, le=100_000)
    knn_neighbour: int = Field(default=5, ge=1)
    vim_dimensions: int | None = Field(default=None, ge=1)
