"""Files with the names of published checkpoints load, and give what their own code computes."""

from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from benchmarks.foreign.builders import Preprocessing, atd
from benchmarks.foreign.checkpoint import read_tensors
from benchmarks.foreign.families import FAMILIES
from benchmarks.leaderboard import (
    HEAD,
    ForeignNetwork,
    load_network,
    read_networks,
    rows,
    scores_of,
)
from oodguard.models.errors import CheckpointError, RecipeError
from oodguard.models.networks.classifier import Classifier
from tests.benchmarks.published_networks import (
    NETWORKS,
    Discriminator,
    dm_preact_resnet,
    wide_resnet,
)
from tests.training.report.example import REPORT

IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def published(build: Callable[[], nn.Module]) -> nn.Module:
    """Return a small network with statistics of batch-norm that are not trivial."""
    network = build()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for name, low, high in (("running_mean", -0.1, 0.1), ("running_var", 0.5, 1.5)):
                nn.init.uniform_(module.get_buffer(name), low, high)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return network.eval().requires_grad_(requires_grad=False)


def loaded(family: str, tensors: dict[str, Tensor]) -> Classifier:
    return FAMILIES[family].network(tensors, Preprocessing(), origin="file")


@pytest.mark.parametrize(("family", "build"), NETWORKS)
@torch.no_grad()
def test_published_names_give_the_logits_of_the_published_network(
    family: str, build: Callable[[], nn.Module]
) -> None:
    network = published(build)
    ours = loaded(family, network.state_dict())
    torch.testing.assert_close(ours(IMAGES), network(IMAGES), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours.head(ours.features(IMAGES)), ours(IMAGES))


def test_every_family_has_a_published_network() -> None:
    assert {family for family, _ in NETWORKS} == FAMILIES.keys()


@torch.no_grad()
def test_score_of_atd_is_the_logit_of_its_discriminator() -> None:
    network = published(dm_preact_resnet)
    base = loaded("dm-preact-resnet", network.state_dict())
    features = base.features(IMAGES)
    discriminator = Discriminator(features.shape[1]).eval()
    outputs = atd(base, discriminator.state_dict(), origin="file")(IMAGES)
    torch.testing.assert_close(outputs[:, :-1], network(IMAGES), rtol=1e-4, atol=1e-4)
    abstain = outputs[:, -1] - outputs[:, :-1].logsumexp(dim=1)
    torch.testing.assert_close(torch.sigmoid(-abstain), discriminator(features))


def test_checkpoint_of_another_family_names_the_missing_tensor() -> None:
    tensors = published(wide_resnet).state_dict()
    with pytest.raises(CheckpointError, match=r"has no tensor .*layer"):
        loaded("dm-wide-resnet", tensors)
    del tensors["block2.layer.0.bn1.bias"]
    with pytest.raises(CheckpointError, match=r"missing tensors: stages\.1\.0\.norm1\.bias"):
        loaded("wide-resnet", tensors)


@pytest.mark.parametrize("wrap", [lambda t: t, lambda t: {"epoch": 3, "state_dict": t}])
def test_checkpoint_prefixes_and_parts_are_found(tmp_path: Path, wrap: object) -> None:
    assert callable(wrap)
    tensors = {f"module.model.{name}": torch.ones(2) for name in ("a.weight", "b")}
    torch.save(wrap(tensors), tmp_path / "weights.pt")
    assert read_tensors(tmp_path / "weights.pt").keys() == {"a.weight", "b"}
    safetensors.torch.save_file(tensors, tmp_path / "weights.safetensors")
    assert read_tensors(tmp_path / "weights.safetensors").keys() == {"a.weight", "b"}


class Harmful:
    """An object that writes a file when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("unpickled"),))


def test_checkpoint_with_code_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"a": torch.ones(2)}, "args": Harmful()}, "weights.pt")
    with pytest.raises(CheckpointError, match=r"Expected a \.safetensors file"):
        read_tensors(Path("weights.pt"))
    assert not Path("unpickled").exists()


def test_checkpoint_without_content_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "weights.pt").touch()
    with pytest.raises(
        CheckpointError, match=r"cannot read weights: .+\. Expected a \.safetensors"
    ):
        read_tensors(tmp_path / "weights.pt")


def test_networks_file_is_read_and_its_errors_name_the_key(tmp_path: Path) -> None:
    file = tmp_path / "networks.toml"
    tensors = published(wide_resnet).state_dict()
    safetensors.torch.save_file(tensors, tmp_path / "w.safetensors")
    file.write_text(
        '[[network]]\nname = "W"\nfamily = "wide-resnet"\nfile = "w.safetensors"\nclaim = ".7"\n'
    )
    (entry,) = read_networks(file)
    network = load_network(entry, tmp_path)
    assert scores_of(entry, network, classes=10) == ("msp", "energy")
    assert scores_of(entry, network, classes=9) == ("abstain", "msp")
    with pytest.raises(RecipeError, match="has 10 outputs, expected one for each of the 5"):
        scores_of(entry, network, classes=5)
    file.write_text(file.read_text().replace("wide-resnet", "vgg"))
    with pytest.raises(RecipeError, match="family is 'vgg'"):
        read_networks(file)
    file.write_text('[[network]]\nname = "W"\nfamily = "wide-resnet"\nsize = 3\n')
    with pytest.raises(RecipeError, match=r"network\.0\.file: .*network\.0\.size"):
        read_networks(file)


def test_leaderboard_rows_mark_the_claims_of_others() -> None:
    entry = ForeignNetwork(name="W", family="wide-resnet", file=Path("w"), claim=".693 at 8/255")
    conditions = REPORT.results[0].conditions
    eight = conditions[1].model_copy(update={"epsilon_255": 8.0})
    one = conditions[1].model_copy(update={"epsilon_255": 1.0})
    result = REPORT.results[0].model_copy(update={"conditions": (*conditions, one, eight)})
    report = REPORT.model_copy(update={"results": (result,)})
    (row,) = rows(entry, report)
    assert HEAD[-1] == "others' claim, not measured here"
    assert row[0] == "W"
    assert row[3:7] == [".875", ".375", ".375", ".375"]
    assert row[-1] == ".693 at 8/255"
