"""The Mahalanobis detector of several layers, as the reference code of the ALOE paper uses it.

Lee et al. 2018, arXiv:1807.03888. For each of four layers, f are the means over the positions of
its activations, and M = min_k (f - mu_k)' C^-1 (f - mu_k) is the distance to the nearest class mean
under the covariance C within the classes. The score is w M + b; the logistic regression that gives
w and b separates inliers from auxiliary outliers. Higher means more OOD.

It differs from the reference code in four ways:

- The layers of a `ResNet` are its stem and its three stages; those of the reference's DenseNet are
  its first convolution and its three blocks.
- The inliers of the regression are held out, where the reference uses training images, which are
  closer to the class means than any other image.
- There is no input pre-processing, whose step the reference selects on the same images.
- It is attacked by the gradient of the score itself. The reference's attack applies a softmax to
  probabilities, which has almost no gradient.
"""

from dataclasses import dataclass

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from oodguard.models.networks.resnet import ResNet
from oodguard.models.scores.mahalanobis import Mahalanobis
from oodguard.models.scores.statistics import ClassMoments
from oodguard.training.data.dataset import ImageSet, to_pixels
from oodguard.training.scoring.graph import evaluation_batch_size

STAGES = 3


def layer_features(network: ResNet, images: Tensor) -> list[Tensor]:
    """Return the mean activations of the stem and of each stage.

    Maps images `(n, 3, H, W)` in [0, 1] to a tensor `(n, channels)` for each layer; the last one
    are the penultimate features.
    """
    values = network.stem(images)
    found = [values.mean(dim=(2, 3))]
    last_of_stage = len(network.stages) // STAGES
    for number, block in enumerate(network.stages, start=1):
        values = block(values)
        if number % last_of_stage == 0:
            found.append(values.mean(dim=(2, 3)))
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class LayeredMahalanobis:
    """A fitted detector: images `(n, 3, H, W)` in [0, 1] to scores `(n,)`; differentiable.

    Attributes:
        weights: The factor w of the distance of each layer, `(layers,)`.
        bias: The bias b.
    """

    network: ResNet
    layers: tuple[Mahalanobis, ...]
    weights: Tensor
    bias: float

    def __call__(self, images: Tensor) -> Tensor:
        """Return the scores `(n,)`."""
        return _distances(self.network, self.layers, images) @ self.weights + self.bias


@torch.no_grad()
def fit_layered_mahalanobis(
    network: ResNet, training: ImageSet, held_out: Tensor, outliers: Tensor
) -> LayeredMahalanobis:
    """Fit the distances on training images, and the regression on images of both kinds.

    The network is in evaluation mode. `held_out` and `outliers` are uint8 `(n, H, W, 3)`.

    Raises:
        RecipeError: The training images do not determine a distance.
    """
    size = evaluation_batch_size(*training.images.shape[1:3])
    widths = [each.shape[1] for each in layer_features(network, to_pixels(held_out[:1]))]
    moments = [ClassMoments(classes=len(training.classes), features=width) for width in widths]
    for images, labels in training.batches(size):
        found = layer_features(network, to_pixels(images))
        for each, features in zip(moments, found, strict=True):
            each.update(features, labels)
    layers = tuple(Mahalanobis(each) for each in moments)
    inside, outside = (
        torch.cat([_distances(network, layers, to_pixels(part)) for part in images.split(size)])
        for images in (held_out, outliers)
    )
    distances = torch.cat([inside, outside]).double()
    centre, spread = distances.mean(dim=0), distances.std(dim=0)
    is_outlier = torch.arange(len(distances)) >= len(inside)
    standardized = ((distances - centre) / spread).numpy()
    regression = LogisticRegression().fit(standardized, is_outlier.numpy())
    weights = torch.from_numpy(regression.coef_[0]) / spread
    return LayeredMahalanobis(
        network=network,
        layers=layers,
        weights=weights.float(),
        bias=float(regression.intercept_[0]) - float(weights @ centre),
    )


def _distances(network: ResNet, layers: tuple[Mahalanobis, ...], images: Tensor) -> Tensor:
    """Return the squared distances `(n, layers)` of images `(n, 3, H, W)` in [0, 1]."""
    found = layer_features(network, images)
    pairs = zip(layers, found, strict=True)
    return torch.stack([layer(features, features) for layer, features in pairs], dim=1)
