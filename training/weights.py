"""Load a network's weights from a checkpoint or a safetensors file, and explain mismatches."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from oodguard.models.bundle import MANIFEST, MODEL, open_bundle
from oodguard.models.errors import CheckpointError
from oodguard.models.networks.classifier import Classifier
from oodguard.models.networks.timm_network import TimmNetwork
from oodguard.sources.special_file import is_special
from oodguard.training.exported_weights import graph_tensors, set_statistics, unfold
from oodguard.training.run_folder import RunFolder
from oodguard.training.run_progress import WeightsOrigin
from oodguard.training.training_split import TrainingSplit

MAX_NAMES = 3
"""The number of tensor names in an error; they suffice to recognize the other network."""


PLAIN = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""The types of numbers that are read as weights."""

PICKLED = {".bin", ".ckpt", ".pt", ".pth", ".tar"}
"""The usual endings of files of `torch.save`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InitialWeights:
    """The weights that a run starts from, by tensor name, and the file that they were read from.

    `pretrained` weights are loaded by `load_pretrained`, with `prefix`; other weights must fit the
    network exactly. `exported` ones are those of a bundle, see `exported_weights`. `split` is the
    one that the network was trained with; None if it is not known.
    """

    tensors: dict[str, Tensor]
    origin: WeightsOrigin
    pretrained: bool = False
    prefix: str | None = None
    exported: bool = False
    split: TrainingSplit | None = None

    def load_into(self, network: Classifier, images: Tensor) -> list[str]:
        """Load the weights into a network; return sentences that state the tensors left out.

        `images` `(n, 3, H, W)` in [0, 1] are examples of the images that the network is trained on,
        to which the statistics of `exported` weights are set.

        Raises:
            CheckpointError: The weights do not fit the network.
        """
        origin = self.origin.name
        if self.pretrained:
            return load_pretrained(network, self.tensors, prefix=self.prefix, origin=origin)
        if not self.exported:
            load_weights(network, self.tensors, origin=origin)
            return []
        tensors, folded = unfold(network, self.tensors, images[:2])
        load_weights(network, tensors, origin=origin)
        set_statistics(network, folded, images)
        return []


def read_initial_weights(
    path: Path, *, pretrained: bool = False, prefix: str | None = None
) -> InitialWeights:
    """Read the averaged weights of a run's folder, of a bundle, or of one safetensors file.

    A file is a checkpoint of a run or the state dict of a network. `pretrained` and `prefix` are
    those of the result.

    Raises:
        RecipeError: The folder is not that of a run, or has no checkpoint.
        BundleError: The bundle does not verify.
        CheckpointError: The file cannot be read, or a weight is not finite; or the bundle is INT8,
            or its weights are to be used as `pretrained` ones.
    """
    if (path / MANIFEST).exists():
        return _read_bundle(path, pretrained=pretrained)
    file = path / RunFolder(path).progress().tensors if path.is_dir() else path
    if is_special(file):
        raise CheckpointError(f"{file}: the path is a pipe or a device, expected a file of weights")
    try:
        content = file.read_bytes()
        tensors = safetensors.torch.load(content)
    except (OSError, ValueError, SafetensorError) as error:  # a NUL in a path is a ValueError
        pickled = (
            ". A file of torch.save is not read, because loading it can run code. Convert it:"
            f" safetensors.torch.save_file(torch.load({file.name!r}, weights_only=True), ...)"
        )
        raise CheckpointError(
            f"{file}: cannot read weights: {error}. Expected the folder of a run, a bundle or a"
            " .safetensors file with the state dict of a network"
            + (pickled if file.is_file() and file.suffix in PICKLED else "")
        ) from error
    if damaged := [name for name, tensor in tensors.items() if not _is_finite(tensor)]:
        raise CheckpointError(
            f"{file}: {len(damaged)} of {len(tensors)} tensors contain NaN or infinity, expected"
            f" finite weights: {_shorten(damaged)}. Save the weights of an earlier epoch"
        )
    name = f"{path.name}/{file.name}" if path.is_dir() else file.name
    return InitialWeights(
        tensors=checkpoint_part(tensors, "average") or tensors,
        origin=WeightsOrigin(name=name, sha256=hashlib.sha256(content).hexdigest()),
        pretrained=pretrained,
        prefix=prefix,
        split=TrainingSplit.of_run(RunFolder(path)) if path.is_dir() else None,
    )


def _read_bundle(folder: Path, *, pretrained: bool) -> InitialWeights:
    bundle = open_bundle(folder)
    if pretrained:
        raise CheckpointError(
            f"network.weights is the bundle {folder}, expected the folder of a run or a"
            " .safetensors file. Start from a bundle with fit RECIPE --from BUNDLE"
        )
    if bundle.manifest.precision != "float32":
        raise CheckpointError(
            f"{folder}: the precision of the bundle is {bundle.manifest.precision}, expected"
            " float32: start from the bundle that it was made of"
        )
    return InitialWeights(
        tensors=graph_tensors(bundle.model),
        origin=WeightsOrigin(
            name=f"{folder.name}/{MODEL}", sha256=hashlib.sha256(bundle.model).hexdigest()
        ),
        exported=True,
        split=TrainingSplit.of_bundle(bundle),
    )


def _is_finite(tensor: Tensor) -> bool:
    return tensor.dtype not in PLAIN or bool(tensor.isfinite().all())


def _describe_misfit(tensor: Tensor, expected: Tensor) -> str | None:
    """Return what is wrong with a tensor in place of another one; None if it fits.

    Numbers of a quantized checkpoint mean something only with their scales.
    """
    if tensor.shape != expected.shape:
        return f"{_shape(tensor)}, expected {_shape(expected)}"
    if expected.is_floating_point() and tensor.dtype not in PLAIN:
        found, required = (str(each.dtype).removeprefix("torch.") for each in (tensor, expected))
        return f"{found}, expected {required}"
    return None


def checkpoint_part(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return one part of a checkpoint's tensors: `network`, `average` or `momentum`."""
    prefix = f"{name}."
    return {key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)}


def load_weights(
    network: nn.Module,
    tensors: Mapping[str, Tensor],
    *,
    origin: str,
    target: str = "the recipe's network",
    remedy: str = "Use the recipe that the weights were trained with",
) -> None:
    """Load tensors into a network; errors name `origin` as their source, the target and a remedy.

    Raises:
        CheckpointError: The names or shapes differ from the network's, which does not change.
    """
    expected = network.state_dict()
    differences = {
        "missing tensors": [name for name in expected if name not in tensors],
        "unexpected tensors": [name for name in tensors if name not in expected],
        "other shapes or types": [
            f"{name} ({misfit})"
            for name in expected
            if name in tensors and (misfit := _describe_misfit(tensors[name], expected[name]))
        ],
    }
    found = [f"{kind}: {_shorten(names)}" for kind, names in differences.items() if names]
    if found:
        raise CheckpointError(f"{origin} does not fit {target}. {'; '.join(found)}. {remedy}")
    network.load_state_dict(dict(tensors))


def load_pretrained(
    network: Classifier, tensors: Mapping[str, Tensor], *, prefix: str | None, origin: str
) -> list[str]:
    """Load the weights of a network that was trained elsewhere; errors name `origin`.

    The names of the tensors may begin with a prefix, which is found if `prefix` is None. The head
    is left out if it is missing or has another size, and further tensors are left out too.

    Returns:
        Sentences that list the tensors left out.

    Raises:
        CheckpointError: A tensor of the features is missing or has another shape, or the file has
            several prefixes. The error lists all of them; the network does not change.
    """
    expected = network.state_dict(keep_vars=True)
    head = _head_names(network)
    names = _names_in_file(network, tensors, prefix=prefix, origin=origin)
    found = {
        name: network.fit_tensor(name, tensors[in_file])
        if isinstance(network, TimmNetwork)
        else tensors[in_file]
        for name, in_file in names.items()
        if in_file in tensors
    }
    misfits = {
        name: f"{names[name]} ({misfit})"
        for name, tensor in found.items()
        if (misfit := _describe_misfit(tensor, expected[name]))
    }
    # A module that is registered twice has two names for one tensor; one of them suffices.
    loaded = {id(expected[name]) for name in found}
    missing = {
        name: names[name]
        for name, tensor in expected.items()
        if id(tensor) not in loaded and not name.endswith("num_batches_tracked")
    }
    faults = [
        f"{kind} ({len(listed)}): {', '.join(listed)}"
        for kind, by_name in (("missing tensors", missing), ("other shapes or types", misfits))
        if (listed := [text for name, text in by_name.items() if name not in head])
    ]
    unexpected = [name for name in tensors if name not in set(names.values())]
    left_out = [f"unexpected tensors ({len(unexpected)}): {', '.join(unexpected)}"]
    if faults:
        raise CheckpointError(
            f"{origin} does not fit the recipe's network. "
            + "; ".join(faults + (left_out if unexpected else []))
        )
    notes = [f"{origin}: not used: {left_out[0]}"] if unexpected else []
    absent = [text for name, text in (missing | misfits).items() if name in head]
    if absent:
        notes.append(
            f"{origin}: the head was left out, it starts from random weights: {', '.join(absent)}"
        )
        found = {name: tensor for name, tensor in found.items() if name not in head}
    network.load_state_dict(found, strict=False)
    return notes


def _names_in_file(
    network: Classifier, tensors: Mapping[str, Tensor], *, prefix: str | None, origin: str
) -> dict[str, str]:
    """Return the name in a file of each tensor of the network, whether the file has it or not."""
    expected = network.state_dict()
    names = {name: name for name in expected}
    if isinstance(network, TimmNetwork):
        features = expected.keys() - _head_names(network)
        if not features <= tensors.keys():
            names = {name: network.name_in_file(name) for name in expected}
    if prefix and not any(name.startswith(prefix) for name in tensors):
        present = sorted({f"{name.split('.')[0]}." for name in tensors if "." in name})
        raise CheckpointError(
            f"network.prefix is {prefix!r}, with which no tensor of {origin} begins, expected one"
            f" of {_shorten([repr(each) for each in present])}, or no prefix"
        )
    start = _find_prefix(names.values(), tensors, origin) if prefix is None else prefix
    return {name: start + in_file for name, in_file in names.items()}


def _head_names(network: Classifier) -> set[str]:
    """Return the names of the head's tensors, under every name that the network has for them."""
    head = {id(tensor) for tensor in network.head.state_dict(keep_vars=True).values()}
    return {name for name, t in network.state_dict(keep_vars=True).items() if id(t) in head}


def _find_prefix(names: Iterable[str], tensors: Mapping[str, Tensor], origin: str) -> str:
    """Return the prefix with which most of the names are tensors of the file."""
    found = Counter(
        tensor.removesuffix(name)
        for name in names
        for tensor in tensors
        if tensor == name or tensor.endswith(f".{name}")
    ).most_common()
    best = [prefix for prefix, count in found if count == found[0][1]]
    if len(best) > 1:
        raise CheckpointError(
            f"{origin} has several networks, with the prefixes {', '.join(map(repr, best))}: select"
            " one with network.prefix"
        )
    return best[0] if best else ""


def _shorten(names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more


def _shape(tensor: Tensor) -> str:
    return "x".join(str(size) for size in tensor.shape) or "scalar"
