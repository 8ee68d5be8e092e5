import hashlib
import os
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn
from typer.testing import CliRunner

from oodguard.models.errors import CheckpointError, RecipeError
from oodguard.models.networks import build_network
from oodguard.models.networks.classifier import Classifier
from oodguard.models.networks.timm_network import import_timm
from oodguard.training.cli.app import app
from oodguard.training.fit.fit import fit
from oodguard.training.run_folder import RunFolder
from oodguard.training.scoring.network import trained_network
from oodguard.training.weights import load_pretrained, load_weights, read_initial_weights
from tests.training.fit.observers import RecordingObserver
from tests.training.recipes import RECIPE

BUNDLES = Path(__file__).parents[2] / "models" / "pretrained"


def test_weights_of_the_same_network_are_loaded() -> None:
    one, two = nn.Linear(2, 3), nn.Linear(2, 3)
    load_weights(two, one.state_dict(), origin="file")
    assert torch.equal(one.weight, two.weight)


@pytest.mark.parametrize(
    ("other", "differences"),
    [
        (
            nn.Sequential(nn.Linear(2, 4)),
            "other shapes or types: 0.weight (4x2, expected 3x2), 0.bias (4, expected 3). Use",
        ),
        (nn.Sequential(nn.Linear(2, 3, bias=False)), "missing tensors: 0.bias. Use the recipe"),
        (
            nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 3), nn.Linear(3, 3)),
            "unexpected tensors: 1.weight, 1.bias, 2.weight and 1 more. Use the recipe",
        ),
        (
            nn.Linear(2, 3),
            "missing tensors: 0.weight, 0.bias; unexpected tensors: weight, bias. Use the recipe",
        ),
    ],
    ids=["other width", "missing", "deeper", "other names"],
)
def test_weights_of_another_network_are_an_error_that_lists_the_differences(
    other: nn.Module, differences: str
) -> None:
    layer = nn.Linear(2, 3)
    before = layer.weight.clone()
    with pytest.raises(CheckpointError, match="run/epoch-001 does not fit the recipe") as caught:
        load_weights(nn.Sequential(layer), other.state_dict(), origin="run/epoch-001")
    assert differences in str(caught.value)
    assert torch.equal(layer.weight, before)


SHORT = RECIPE.replace("epochs = 2", "epochs = 1")


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run with another seed."""
    folder = tmp_path_factory.mktemp("runs") / "before"
    run = RunFolder.create(folder, SHORT.replace("seed = 3", "seed = 4"))
    fit(run, RecordingObserver(), resume=False)
    return run


def test_run_starts_from_averaged_weights_and_records_their_origin(
    tmp_path: Path, before: RunFolder
) -> None:
    text = SHORT.replace("epochs = 1", "epochs = 1\npeak_rate = 1e-9")
    run = RunFolder.create(tmp_path / "after", text)
    start = read_initial_weights(before.folder)
    progress = fit(run, RecordingObserver(), resume=False, start=start)
    initial = before.tensors(before.progress())["average.head.weight"]
    for name in ("average", "network"):
        torch.testing.assert_close(run.tensors(progress)[f"{name}.head.weight"], initial)
    content = (before.folder / "epoch-001.safetensors").read_bytes()
    assert progress.started_from is not None
    assert progress.started_from.name == "before/epoch-001.safetensors"
    assert progress.started_from.sha256 == hashlib.sha256(content).hexdigest()
    resumed = fit(run, RecordingObserver(), resume=True)
    assert resumed.started_from == progress.started_from


def test_initial_weights_are_read_from_a_state_dict(tmp_path: Path, before: RunFolder) -> None:
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(trained_network(before, classes=10).state_dict(), path)
    of_file, of_run = read_initial_weights(path), read_initial_weights(before.folder)
    assert of_file.origin.name == "weights.safetensors"
    assert of_file.tensors.keys() == of_run.tensors.keys()
    assert all(torch.equal(of_file.tensors[key], of_run.tensors[key]) for key in of_run.tensors)


def test_initial_weights_of_another_network_are_an_error(tmp_path: Path, before: RunFolder) -> None:
    run = RunFolder.create(tmp_path / "after", SHORT.replace('"aloe"', '"aloe-abstain"'))
    start = read_initial_weights(before.folder)
    difference = r"head\.weight \(10x16, expected 11x16\)"
    with pytest.raises(CheckpointError, match=f"before/epoch-001.safetensors .*{difference}"):
        fit(run, RecordingObserver(), resume=False, start=start)


def test_unreadable_initial_weights_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no checkpoint yet"):
        read_initial_weights(tmp_path)
    with pytest.raises(CheckpointError, match=r"missing\.safetensors: cannot read weights"):
        read_initial_weights(tmp_path / "missing.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"short")
    with pytest.raises(CheckpointError, match="Expected the folder of a run, a bundle or"):
        read_initial_weights(tmp_path / "bad.safetensors")


@pytest.mark.parametrize("pretrained", [False, True])
@pytest.mark.parametrize("dtype", [torch.int8, torch.float8_e4m3fn, torch.complex64])
def test_weights_of_a_quantized_or_complex_network_are_an_error(
    tmp_path: Path, dtype: torch.dtype, *, pretrained: bool
) -> None:
    network = _Net(3)
    before = network.stem.weight.clone()
    tensors = {**network.state_dict(), "stem.weight": torch.ones(4, 3).to(dtype)}
    safetensors.torch.save_file(tensors, tmp_path / "w.safetensors")
    start = read_initial_weights(tmp_path / "w.safetensors", pretrained=pretrained)
    name = str(dtype).removeprefix("torch.")
    with pytest.raises(CheckpointError, match=rf"stem.weight \({name}, expected float32\)"):
        start.load_into(network, torch.zeros(2, 3, 4, 4))
    assert torch.equal(network.stem.weight, before)


def test_initial_weights_that_are_no_file_are_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match="pipe: the path is a pipe or a device, expected a"):
        read_initial_weights(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match="cannot read weights: embedded null byte"):
        read_initial_weights(Path("a\0b"))


def test_fit_command_starts_from_a_run_and_rejects_resume_with_from(
    tmp_path: Path, before: RunFolder
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(SHORT)
    after = tmp_path / "after"
    command = ["fit", str(recipe), "--out", str(after), "--from", str(before.folder)]
    assert CliRunner().invoke(app, command).exit_code == 0
    origin = RunFolder(after).progress().started_from
    assert origin is not None
    assert origin.name == "before/epoch-001.safetensors"
    rejected = CliRunner().invoke(app, [*command, "--resume"])
    assert rejected.exit_code == 1
    assert "received both --resume and --from" in rejected.stderr


class _Net(Classifier):
    head: nn.Linear

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.stem, self.norm = nn.Linear(3, 4), nn.BatchNorm1d(4)
        self.head = nn.Linear(4, outputs)


@pytest.mark.parametrize("prefix", ["", "module.", "model.backbone."])
def test_pretrained_weights_are_found_behind_a_prefix(prefix: str) -> None:
    one, two = _Net(3), _Net(3)
    tensors = {prefix + name: t for name, t in one.state_dict().items()}
    assert load_pretrained(two, tensors, prefix=None, origin="file") == []
    assert torch.equal(one.stem.weight, two.stem.weight)
    assert torch.equal(one.head.weight, two.head.weight)


def test_pretrained_head_of_another_size_and_unexpected_tensors_are_left_out_and_listed() -> None:
    one, two = _Net(1000), _Net(3)
    before = two.head.weight.clone()
    tensors = {**one.state_dict(), "mask": torch.ones(2), "extra.bias": torch.ones(1)}
    unused, head = load_pretrained(two, tensors, prefix=None, origin="file")
    assert unused == "file: not used: unexpected tensors (2): mask, extra.bias"
    assert "the head was left out" in head
    assert "head.weight (1000x4, expected 3x4), head.bias (1000, expected 3)" in head
    assert torch.equal(one.stem.weight, two.stem.weight)
    assert torch.equal(two.head.weight, before)


def test_pretrained_weights_without_all_features_are_an_error_that_lists_every_tensor() -> None:
    network = _Net(3)
    before = network.stem.bias.clone()
    tensors = network.state_dict()
    del tensors["stem.weight"], tensors["norm.num_batches_tracked"], tensors["norm.weight"]
    tensors |= {"stem.bias": torch.ones(5), "other": torch.ones(1)}
    with pytest.raises(CheckpointError) as caught:
        load_pretrained(network, tensors, prefix=None, origin="file")
    assert str(caught.value) == (
        "file does not fit the recipe's network. missing tensors (2): stem.weight, norm.weight;"
        " other shapes or types (1): stem.bias (5, expected 4); unexpected tensors (1): other"
    )
    assert torch.equal(network.stem.bias, before)


def test_pretrained_file_of_two_networks_requires_a_prefix() -> None:
    student, teacher, network = _Net(3), _Net(3), _Net(3)
    tensors = {
        f"{name}.{key}": t
        for name, each in (("student", student), ("teacher", teacher))
        for key, t in each.state_dict().items()
    }
    with pytest.raises(CheckpointError, match=r"prefixes 'student\.', 'teacher\.': select one"):
        load_pretrained(network, tensors, prefix=None, origin="file")
    with pytest.raises(CheckpointError, match=r"is 'pupil\.', .* of 'student\.', 'teacher\.', or"):
        load_pretrained(network, tensors, prefix="pupil.", origin="file")
    (note,) = load_pretrained(network, tensors, prefix="teacher.", origin="file")
    assert torch.equal(network.stem.weight, teacher.stem.weight)
    assert "unexpected tensors (9): student.stem.weight" in note


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_pretrained_weights_of_timm_have_the_names_of_timm(name: str) -> None:
    tensors = import_timm().create_model(name, num_classes=11).state_dict()
    network = build_network(f"timm:{name}", 3, width=None, size=(64, 64))
    (head,) = load_pretrained(network, tensors, prefix=None, origin="file")
    assert "(11x" in head
    own = network.state_dict()
    for key, tensor in own.items():
        if not key.startswith("head.") and key != "model.pos_embed":
            assert torch.equal(tensor, tensors[key.removeprefix("model.")])
    same = load_pretrained(
        build_network(f"timm:{name}", 3, width=None, size=(64, 64)),
        own,
        prefix=None,
        origin="file",
    )
    assert same == []


def test_pretrained_weights_are_not_read_from_a_pickle(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(1)}, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match=r"of torch\.save is not read, because"):
        read_initial_weights(tmp_path / "weights.pth")


def test_initial_weights_that_are_not_finite_are_rejected(tmp_path: Path) -> None:
    tensors = {"good": torch.zeros(2), "bad": torch.tensor([1.0, float("nan")])}
    safetensors.torch.save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match=r"1 of 2 tensors contain NaN or infinity.*: bad"):
        read_initial_weights(tmp_path / "w.safetensors")
