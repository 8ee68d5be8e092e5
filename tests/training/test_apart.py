import torch

from oodguard.training.onnx_torch.classifier import IndependentConcat


def test_columns_stand_side_by_side() -> None:
    joined = IndependentConcat.apply(torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [4.0]]))  # type: ignore[no-untyped-call]
    assert joined.tolist() == [[1, 3], [2, 4]]


def test_an_infinite_derivative_of_one_column_spoils_no_other() -> None:
    x = torch.zeros(2, 1, requires_grad=True)
    root, line = x.sqrt(), 3 * x
    (spoilt,) = torch.autograd.grad(
        torch.cat([root, line], dim=1)[:, 1].sum(), x, retain_graph=True
    )
    assert spoilt.isnan().all()
    joined = IndependentConcat.apply(root, line)  # type: ignore[no-untyped-call]
    (apart,) = torch.autograd.grad(joined[:, 1].sum(), x)
    assert apart.tolist() == [[3], [3]]


def test_what_is_climbed_together_is_added_up() -> None:
    x = torch.tensor([[2.0]], requires_grad=True)
    joined = IndependentConcat.apply(x.square(), 3 * x, x.exp())  # type: ignore[no-untyped-call]
    (gradient,) = torch.autograd.grad(joined[:, 0].sum() - 2 * joined[:, 1].sum(), x)
    assert gradient.item() == 2 * 2 - 2 * 3
