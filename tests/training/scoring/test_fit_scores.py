"""Scores of a run: fitted on its training images, with the options of its recipe."""

from pathlib import Path

import pytest
import torch

from oodguard.models.errors import RecipeError
from oodguard.training.data.dataset import ImageSet, to_pixels
from oodguard.training.scoring.fit_scores import scored_network
from tests.training.recipes import RECIPE
from tests.training.runs import save_run

CLASSES = 3


@pytest.fixture
def training() -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (60, 8, 8, 3), dtype=torch.uint8, generator=generator)
    return ImageSet(
        name="noise", images=images, labels=torch.arange(60) % 3, classes=("a", "b", "c")
    )


def test_scored_network_uses_the_score_options_of_the_recipe(
    tmp_path: Path, training: ImageSet
) -> None:
    options = "[score_options]\ntemperature = 100\nknn_bank = 20\nknn_neighbour = 1\n\n[network]"
    run = save_run(tmp_path, RECIPE.replace("[network]", options, 1))
    classifier = scored_network(run, training, ("energy", "knn"))
    assert classifier.get_buffer("fitted.knn.bank").shape == (20, 16)
    logits, scores = classifier(training.images)
    torch.testing.assert_close(scores[:, 0], -100 * torch.logsumexp(logits / 100, dim=1))
    # Each image of the bank is its own nearest neighbour; no other image has one at distance 0.
    assert (scores[:, 1] < 1e-6).sum() == 20


def test_scored_network_uses_the_reject_class_for_its_score_only(
    tmp_path: Path, training: ImageSet
) -> None:
    text = RECIPE.replace('method = "aloe"', 'method = "aloe-abstain"')
    run = save_run(tmp_path, text, outputs=CLASSES + 1)
    classifier = scored_network(run, training, ("abstain", "kl_matching", "energy"))
    logits, scores = classifier(training.images)
    every_output = classifier.network(to_pixels(training.images[:]))
    assert logits.shape == (60, CLASSES)
    assert classifier.get_buffer("fitted.kl_matching.log_typical").shape[1] == CLASSES
    weight = torch.logsumexp(every_output[:, :CLASSES], dim=1)
    torch.testing.assert_close(scores[:, 0], every_output[:, CLASSES] - weight)
    torch.testing.assert_close(scores[:, 2], -weight)


def test_scored_network_rejects_a_score_without_its_reject_class(
    tmp_path: Path, training: ImageSet
) -> None:
    with pytest.raises(RecipeError, match="which requires a network with a reject class"):
        scored_network(save_run(tmp_path, RECIPE), training, ("energy", "abstain"))
