"""The scores of a wrapped classifier: of its logits, and fitted ones of its features."""

from collections.abc import Mapping

import onnx
import torch
from torch import Tensor, nn

from oodguard.models.calibrated_model import RunGraph
from oodguard.models.errors import RecipeError
from oodguard.models.scores import FITTED_SCORES, LOGIT_SCORES
from oodguard.models.scores.base import Accumulator, FitContext, ScoreOptions
from oodguard.training.data.dataset import ImageSet
from oodguard.training.export.onnx import export_module
from oodguard.training.wrap.graph import FEATURES, RAW
from oodguard.training.wrap.output import OutputKind, to_logits

FEATURE_SCORES = ("knn", "mahalanobis", "relative_mahalanobis", "vim")
"""The scores that `--features` adds."""

BATCH_SIZE = 64
SEED = 0


class WrappedScores(nn.Module):
    """Outputs `(n, K)` and features `(n, D)` to logits and scores `(n, S)`; higher is more OOD."""

    def __init__(self, kind: OutputKind, fitted: Mapping[str, nn.Module] | None = None) -> None:
        super().__init__()
        self.kind = kind
        self.fitted = nn.ModuleDict(fitted or {})

    @property
    def names(self) -> tuple[str, ...]:
        """The scores in the order of the columns."""
        return (*self.kind.scores, *self.fitted)

    def forward(self, raw: Tensor, features: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return logits `(n, K)` and scores `(n, S)`; `features` are required by fitted scores."""
        logits = to_logits(raw, self.kind)
        return logits, self.of_logits(logits, features)

    def of_logits(self, logits: Tensor, features: Tensor | None = None) -> Tensor:
        """Return the scores `(n, S)` of logits and features."""
        columns = [LOGIT_SCORES[name](logits) for name in self.kind.scores]
        columns += [score(features, logits) for score in self.fitted.values()]
        return torch.stack(columns, dim=1)

    def graph(self, *, outputs: int, features: int = 0) -> onnx.ModelProto:
        """Return the module as a graph from `raw`, and `features` if there are any."""
        examples = [torch.zeros(2, outputs)]
        if self.fitted:
            examples.append(torch.ones(2, features))
        return export_module(
            self,
            *examples,
            input_names=[RAW, FEATURES][: len(examples)],
            output_names=("logits", "scores"),
        )


@torch.no_grad()
def fit_feature_scores(
    run: RunGraph,
    images: ImageSet,
    *,
    kind: OutputKind,
    classes: int,
    head: nn.Linear | None,
) -> tuple[dict[str, nn.Module], dict[str, str]]:
    """Fit the feature scores in one pass over in-distribution images.

    `run` maps images to raw outputs and features, `head` features to logits. The labels of the
    images are positions of outputs.

    Returns:
        The scores by name, and the reason for each that the images do not determine.

    Raises:
        RecipeError: No score can be fitted.
    """
    missing = {}
    if head is None:
        missing["vim"] = "the logits are no linear function of the features"
    elif not kind.has_level:
        missing["vim"] = f"it requires the level of the logits, which {kind} do not have"
    names = [name for name in FEATURE_SCORES if name not in missing]
    fitted: dict[str, nn.Module] = {}
    accumulators: dict[str, Accumulator] = {}
    for pixels, labels in images.batches(BATCH_SIZE):
        raw, features = (torch.from_numpy(each) for each in run(pixels.numpy()))
        if not accumulators:
            context = FitContext(
                features=features.shape[1],
                classes=classes,
                head=head or nn.Identity(),
                options=ScoreOptions(vim_dimensions=min(features.shape[1], len(images)) // 2),
                seed=SEED,
            )
            accumulators = {name: FITTED_SCORES[name](context) for name in names}
        logits = to_logits(raw, kind)
        for accumulator in accumulators.values():
            accumulator.update(features, logits, labels)
    for name in names:
        try:
            fitted[name] = accumulators[name].finish()
        except RecipeError as error:
            missing[name] = str(error)
    if not fitted:
        raise RecipeError("; ".join(dict.fromkeys(missing.values())))
    return fitted, missing
