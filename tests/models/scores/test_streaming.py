"""One pass in batches comes to what numpy, scipy and scikit-learn make of everything at once."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import EmpiricalCovariance
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from oodguard.models.scores import FITTED_SCORES
from oodguard.models.scores.base import ScoreOptions
from oodguard.models.scores.statistics import ClassMoments, Reservoir
from tests.models.scores.fits import fit, head

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 3, size=120)
MEANS = 5 * RNG.normal(size=(3, 6))
FEATURES = MEANS[LABELS] + RNG.normal(size=(120, 6)) @ RNG.normal(size=(6, 6))
ASKED = 4 * RNG.normal(size=(20, 6))
LAYER = head(torch.from_numpy(RNG.normal(size=(3, 6))).float(), torch.tensor([0.5, 0.0, -0.5]))
NO_LOGITS = torch.zeros(20, 3)


def _tensors() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    features = torch.from_numpy(FEATURES).float()
    return features, LAYER(features).detach(), torch.from_numpy(LABELS)


@pytest.mark.parametrize("batch", [1, 7, 120])
def test_moments_do_not_depend_on_the_batch_size(batch: int) -> None:
    moments = ClassMoments(classes=3, features=6)
    # A large offset: sums of raw squares would have no digits left for the covariance.
    features, labels = torch.from_numpy(FEATURES + 1e7), torch.from_numpy(LABELS)
    for part in zip(features.split(batch), labels.split(batch), strict=True):
        moments.update(*part)
    means = np.stack([FEATURES[k == LABELS].mean(axis=0) for k in range(3)])
    tied = EmpiricalCovariance(assume_centered=True).fit(FEATURES - means[LABELS]).covariance_
    whole = np.cov(FEATURES.T, bias=True)
    assert moments.counts.tolist() == np.bincount(LABELS).tolist()
    np.testing.assert_allclose(moments.means - 1e7, means, atol=1e-7)
    np.testing.assert_allclose(moments.tied_covariance, tied, atol=1e-7)
    np.testing.assert_allclose(moments.second_moment(moments.mean), whole, atol=1e-7)
    np.testing.assert_allclose(
        moments.tied_covariance + moments.between_covariance, whole, atol=1e-7
    )
    about_one = (FEATURES - 1).T @ (FEATURES - 1) / 120
    np.testing.assert_allclose(
        moments.second_moment(torch.full((6,), 1e7 + 1, dtype=torch.float64)), about_one, atol=1e-6
    )


@pytest.mark.parametrize("name", FITTED_SCORES)
def test_fitted_score_does_not_depend_on_the_batch_size(name: str) -> None:
    asked = torch.from_numpy(ASKED).float()
    logits = LAYER(asked).detach()
    options = ScoreOptions(knn_bank=50)
    whole, *parts = (
        fit(name, *_tensors(), layer=LAYER, options=options, batch=batch)(asked, logits)
        for batch in (120, 1, 7)
    )
    for part in parts:
        torch.testing.assert_close(part, whole, rtol=1e-5, atol=1e-5)


def test_mahalanobis_matches_scipy() -> None:
    scores = fit("mahalanobis", *_tensors(), batch=16)(torch.from_numpy(ASKED).float(), NO_LOGITS)
    means = np.stack([FEATURES[k == LABELS].mean(axis=0) for k in range(3)])
    precision = np.linalg.inv(np.cov((FEATURES - means[LABELS]).T, bias=True))
    expected = [min(mahalanobis(x, mean, precision) ** 2 for mean in means) for x in ASKED]
    np.testing.assert_allclose(scores, expected, rtol=1e-4)


def test_knn_matches_scikit_learn() -> None:
    score = fit("knn", *_tensors(), options=ScoreOptions(knn_neighbour=7), batch=16)
    scores = score(torch.from_numpy(ASKED).float(), NO_LOGITS)
    index = NearestNeighbors(n_neighbors=7).fit(normalize(FEATURES))
    distances, _ = index.kneighbors(normalize(ASKED))
    np.testing.assert_allclose(scores, distances[:, -1], rtol=1e-4)


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_reservoir_samples_without_replacement_for_any_batch_size(batch: int) -> None:
    rows = torch.arange(1000.0)[:, None]
    whole, parts = (Reservoir(size=100, width=1, seed=3) for _ in range(2))
    whole.update(rows)
    for part in rows.split(batch):
        parts.update(part)
    assert torch.equal(parts.rows, whole.rows)
    assert len(set(parts.rows.flatten().tolist())) == 100
    # Of 0 to 999 a fair sample of 100 has mean 499.5 and that mean a standard error of 27.4.
    assert parts.rows.mean().item() == pytest.approx(499.5, abs=4 * 27.4)


def test_reservoir_depends_on_the_seed_and_keeps_few_rows() -> None:
    one, two, few = (Reservoir(size=100, width=1, seed=seed) for seed in (3, 4, 0))
    for reservoir, count in ((one, 1000), (two, 1000), (few, 5)):
        reservoir.update(torch.arange(float(count))[:, None])
    assert not torch.equal(one.rows, two.rows)
    assert sorted(few.rows.flatten().tolist()) == [0, 1, 2, 3, 4]
