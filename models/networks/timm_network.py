"""The networks of timm, PyTorch Image Models, by their names there."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from oodguard.models.errors import RecipeError, install_hint
from oodguard.models.networks.classifier import Classifier

PREFIX = "timm:"

IMAGE_SIZE = (224, 224)
"""The height and width that most networks of timm were trained with."""

_DECLARATIONS = torch.library.Library("torchvision", "FRAGMENT")
"""Declares operators that the import of torchvision needs, see `_import_torchvision`.

It is kept, because torch forgets the declarations of a library that is deleted.
"""


def is_timm_name(name: str) -> bool:
    """Return whether `name` has the form `timm:MODEL`; nothing is imported."""
    return name.startswith(PREFIX)


class TimmNetwork(Classifier):
    """A model of timm without its classifier, and a linear head.

    The first layer normalizes by the mean and the standard deviation that timm records for the
    model. They are no tensors of a checkpoint. A model of a fixed image size, such as a vision
    transformer, is built for `size`, height and width.

    Raises:
        RecipeError: timm has no such model, or cannot build it for this size.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, outputs: int, *, size: tuple[int, int]) -> None:
        super().__init__()
        model, settings = _create(name.removeprefix(PREFIX), size)
        for key in ("mean", "std"):
            values = torch.tensor(settings[key], dtype=torch.float32).view(1, -1, 1, 1)
            self.register_buffer(key, values, persistent=False)
        self.model = model
        self.head = nn.Linear(_feature_count(name, model, size), outputs)
        classifier = settings["classifier"]
        self._classifier = classifier if isinstance(classifier, str) else (*classifier, "")[0]

    def features(self, images: Tensor) -> Tensor:
        """Map images `(n, 3, H, W)` in [0, 1] to pooled features `(n, D)`."""
        features: Tensor = self.model((images - self.mean) / self.std)
        return features

    def name_in_file(self, name: str) -> str:
        """Return the name that files of timm give to a tensor of this network."""
        if name.startswith("head."):
            return f"{self._classifier}.{name.removeprefix('head.')}"
        return name.removeprefix("model.")

    def fit_tensor(self, name: str, tensor: Tensor) -> Tensor:
        """Return a tensor of a file in the shape of this network.

        Position embeddings of another image size are interpolated, as timm does.
        """
        expected = self.state_dict()[name]
        if name != "model.pos_embed" or tensor.ndim != 3 or tensor.shape == expected.shape:
            return tensor
        resampled: Tensor = import_timm().layers.resample_abs_pos_embed(
            tensor,
            new_size=list(self.model.patch_embed.grid_size),
            num_prefix_tokens=getattr(self.model, "num_prefix_tokens", 0),
        )
        return resampled


def check_timm_name(name: str) -> None:
    """Check that timm is installed and has the model.

    Raises:
        RecipeError: timm is not installed, or has no such model; the message lists similar names.
    """
    timm = import_timm()
    model = name.removeprefix(PREFIX)
    base, _, tag = model.partition(".")
    if timm.is_model(base) and (not tag or model in timm.list_models(f"{base}.*", pretrained=True)):
        return
    near = get_close_matches(base, timm.list_models(), n=3)
    similar = f"; similar names: {', '.join(PREFIX + each for each in near)}" if near else ""
    raise RecipeError(f"network.name: {name!r} is not a model of timm {timm.__version__}{similar}")


def _create(name: str, size: tuple[int, int]) -> tuple[Any, Mapping[str, Any]]:
    """Return the model with random weights and without a classifier, and timm's settings of it."""
    check_timm_name(PREFIX + name)
    timm = import_timm()
    settings = timm.get_pretrained_cfg(name).to_dict()
    options = {"img_size": size} if settings.get("fixed_input_size") else {}
    try:
        model = timm.create_model(name, pretrained=False, num_classes=0, **options)
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        raise RecipeError(
            f"network.name: '{PREFIX}{name}' cannot be built for images of"
            f" {size[0]} x {size[1]} pixels: {error}"
        ) from error
    return model, settings


@torch.no_grad()
def _feature_count(name: str, model: nn.Module, size: tuple[int, int]) -> int:
    try:
        features = model.eval()(torch.zeros(1, 3, *size))
    except (AssertionError, RuntimeError) as error:
        raise RecipeError(
            f"network.name: {name!r} fails on images of {size[0]} x {size[1]} pixels: {error}"
        ) from error
    finally:
        model.train()
    if not isinstance(features, Tensor) or features.ndim != 2:
        raise RecipeError(f"network.name: {name!r} has no pooled features, expected a classifier")
    return features.shape[1]


def import_timm() -> Any:  # noqa: ANN401  (an optional package without types)
    """Return the module timm.

    Raises:
        RecipeError: It is not installed.
    """
    try:
        _import_torchvision()
        import timm  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise RecipeError(
            f"network.name: the package {error.name} is not installed. {install_hint('timm')}"
        ) from error
    return timm


def _import_torchvision() -> None:
    """Import torchvision, which timm imports, with any build of torch.

    Its package on PyPI is compiled for torch with CUDA. With another build its operators cannot be
    loaded, and its import fails because two of them are missing. timm uses none of them, so it
    suffices to declare these two.
    """
    try:
        import torchvision  # noqa: PLC0415
    except RuntimeError:
        for name in ("nms", "qnms"):
            _DECLARATIONS.define(f"{name}(Tensor dets, Tensor scores, float threshold) -> Tensor")
        import torchvision  # noqa: F401, PLC0415
