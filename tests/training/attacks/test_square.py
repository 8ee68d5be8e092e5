import pytest
import torch
from torch import Tensor

from oodguard.training.attacks.square import Square, _shares

EPSILON = 0.05
IMAGES = 0.1 + 0.8 * torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
WEIGHTS = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(1))
ROWS = torch.arange(6)


def linear(images: Tensor, _: Tensor) -> Tensor:
    return (images * WEIGHTS).sum(dim=(1, 2, 3))


def test_square_schedule_is_that_of_the_paper() -> None:
    shares = list(_shares(10_000, 0.8))
    assert len(shares) == 10_000
    for query, halvings in [(0, 0), (10, 0), (11, 1), (51, 2), (1001, 5), (8000, 8), (8001, 9)]:
        assert shares[query] == 0.8 / 2**halvings
    # A tenth of the queries goes through the same sizes ten times as fast.
    assert list(_shares(1000, 0.8)) == shares[::10]


def test_square_approaches_the_optimum_of_a_linear_objective() -> None:
    found = Square(epsilon=EPSILON, queries=3000)(linear, IMAGES, torch.Generator().manual_seed(2))
    gained = linear(found, ROWS) - linear(IMAGES, ROWS)
    most = EPSILON * WEIGHTS.abs().sum()
    assert (gained > 0.9 * most).all()
    assert (gained <= most + 1e-4).all()


def test_square_returns_points_at_the_edge_of_the_ball() -> None:
    found = Square(epsilon=EPSILON, queries=50)(linear, IMAGES, torch.Generator().manual_seed(2))
    torch.testing.assert_close((found - IMAGES).abs(), torch.full_like(IMAGES, EPSILON))


def test_square_changes_one_square_per_query() -> None:
    seen: list[Tensor] = []

    def flat(images: Tensor, _: Tensor) -> Tensor:
        seen.append(images.clone())
        return torch.zeros(len(images))

    found = Square(epsilon=EPSILON, queries=40)(flat, IMAGES, torch.Generator().manual_seed(2))
    assert len(seen) == 1 + 40  # the clean images, then the queries
    torch.testing.assert_close(found, IMAGES, rtol=0, atol=0)  # nothing was better than clean
    stripes = seen[1]
    columns = (stripes - IMAGES)[:, :, :1, :]
    torch.testing.assert_close(stripes - IMAGES, columns.expand_as(IMAGES))
    changed = (seen[-1] - stripes).abs().amax(dim=1) > EPSILON  # (n, 8, 8)
    for image in changed:
        down, across = image.any(dim=1).sum().item(), image.any(dim=0).sum().item()
        assert max(down, across) <= 1  # 0.8 / 512 of 64 pixels is one


def test_square_draws_independent_squares_per_image() -> None:
    images = IMAGES[:1].repeat(6, 1, 1, 1)
    found = Square(epsilon=EPSILON, queries=20)(linear, images, torch.Generator().manual_seed(2))
    assert len(found.flatten(1).unique(dim=0)) == 6


@pytest.mark.parametrize("shape", [(3, 5), (9, 2), (1, 1)])
def test_square_accepts_images_of_any_aspect_ratio(shape: tuple[int, int]) -> None:
    images = torch.rand(2, 3, *shape, generator=torch.Generator().manual_seed(0))

    def bright(pixels: Tensor, _: Tensor) -> Tensor:
        return pixels.sum(dim=(1, 2, 3))

    found = Square(epsilon=EPSILON, queries=1500)(bright, images, torch.Generator().manual_seed(2))
    torch.testing.assert_close(found, torch.clamp(images + EPSILON, max=1))


def test_square_drops_finished_images() -> None:
    sizes: list[int] = []
    clean = linear(IMAGES, ROWS)

    def objective(images: Tensor, rows: Tensor) -> Tensor:
        sizes.append(len(rows))
        return linear(images, rows) - clean[rows] - 99.0 * (rows > 2)

    found = Square(epsilon=EPSILON, queries=60, stop_at=1.0)(
        objective, IMAGES, torch.Generator().manual_seed(2)
    )
    assert sizes[0] == 6
    assert sizes[-1] == 3
    assert sizes == sorted(sizes, reverse=True)
    assert (objective(found, ROWS)[:3] >= 1).all()
