"""A finished run with the scores that were asked for."""

from pathlib import Path

import pytest
import torch

from oodguard.models.errors import RecipeError
from oodguard.models.networks.build import build_network
from oodguard.training.data.dataset import ImageSet, to_pixels
from oodguard.training.run_folder import RunFolder, RunProgress
from oodguard.training.scoring.fit_scores import scored_classifier

CLASSES = 3
PROGRESS = RunProgress(
    tensors="epoch-001.safetensors",
    epochs=(),
    hardware="a machine",
    command="a command",
    libraries={},
    training_images=1,
    outlier_images=0,
)


def _run(folder: Path, recipe_text: str, *, outputs: int = CLASSES) -> RunFolder:
    torch.manual_seed(0)
    network = build_network("resnet8", outputs, width=4)
    run = RunFolder.create(folder, recipe_text)
    run.save(PROGRESS, {f"average.{key}": t for key, t in network.state_dict().items()})
    return run


@pytest.fixture
def training() -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (60, 8, 8, 3), dtype=torch.uint8, generator=generator)
    return ImageSet(
        name="noise", images=images, labels=torch.arange(60) % 3, classes=("a", "b", "c")
    )


def test_options_of_the_recipe_reach_fitted_and_unfitted_scores(
    tmp_path: Path, recipe_text: str, training: ImageSet
) -> None:
    options = "[score_options]\ntemperature = 100\nknn_bank = 20\nknn_neighbour = 1\n\n[network]"
    run = _run(tmp_path, recipe_text.replace("[network]", options, 1))
    classifier = scored_classifier(run, training, ("energy", "knn"))
    assert classifier.get_buffer("fitted.knn.bank").shape == (20, 16)
    logits, scores = classifier(training.images)
    torch.testing.assert_close(scores[:, 0], -100 * torch.logsumexp(logits / 100, dim=1))
    # Each image of the bank is its own nearest neighbour; the others have none at no distance.
    assert (scores[:, 1] < 1e-6).sum() == 20


def test_a_reject_class_is_an_output_that_only_its_score_sees(
    tmp_path: Path, recipe_text: str, training: ImageSet
) -> None:
    text = recipe_text.replace('method = "aloe"', 'method = "aloe-abstain"')
    run = _run(tmp_path, text, outputs=CLASSES + 1)
    classifier = scored_classifier(run, training, ("abstain", "kl_matching", "energy"))
    logits, scores = classifier(training.images)
    every_output = classifier.network(to_pixels(training.images))
    assert logits.shape == (60, CLASSES)
    assert classifier.get_buffer("fitted.kl_matching.log_typical").shape[1] == CLASSES
    weight = torch.logsumexp(every_output[:, :CLASSES], dim=1)
    torch.testing.assert_close(scores[:, 0], every_output[:, CLASSES] - weight)
    torch.testing.assert_close(scores[:, 2], -weight)


def test_a_score_that_the_run_cannot_have_is_refused(
    tmp_path: Path, recipe_text: str, training: ImageSet
) -> None:
    with pytest.raises(RecipeError, match="which requires a network with a reject class"):
        scored_classifier(_run(tmp_path, recipe_text), training, ("energy", "abstain"))
