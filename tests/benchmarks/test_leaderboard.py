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
    with pytest.raises(
        CheckpointError, match=r"has no tensor that matches layer.*\. Choose the `family` that"
    ):
        loaded("dm-wide-resnet", tensors)
    del tensors["block2.layer.0.bn1.bias"]
    with pytest.raises(CheckpointError) as caught:
        loaded("wide-resnet", tensors)
    assert str(caught.value) == (
        "file does not fit the network of its family, whose tensors have this project's names."
        " missing tensors: stages.1.0.norm1.bias. Choose the `family` that docs/leaderboard.md"
        " names for this file, or another `part` of a file that has several networks"
    )


def test_discriminator_that_does_not_fit_states_to_choose_another_one() -> None:
    base = loaded("dm-preact-resnet", published(dm_preact_resnet).state_dict())
    tensors = Discriminator(7).state_dict()
    remedy = r".*Choose the `discriminator` and the `file` of one ATD network"
    with pytest.raises(CheckpointError, match=rf"other shapes or types: .*{remedy}"):
        atd(base, {**tensors, "main.2.weight": torch.ones(1)}, origin="file")
    del tensors["main.0.weight"]
    with pytest.raises(CheckpointError, match=rf"file is no discriminator of ATD: .*{remedy}"):
        atd(base, tensors, origin="file")


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


def test_networks_file_is_read_and_its_network_has_the_scores_of_its_outputs(
    tmp_path: Path,
) -> None:
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


ENTRY = '[[network]]\nname = "W"\nfamily = "wide-resnet"\nfile = "w"\n'
KEYS = "name, family, file, part, mean, std, activation, discriminator, scores, claim"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ENTRY.replace("wide-resnet", "vgg"), "network[0].family is 'vgg', expected one of wide-"),
        (
            f'{ENTRY}{ENTRY}activation = "gelu"\n',
            "network[1].activation is 'gelu', expected one of relu, silu",
        ),
        (f"{ENTRY}colour = 3\n", f"network[0].colour is an unknown key, expected one of {KEYS}"),
        (
            ENTRY.replace('file = "w"', "size = 3"),
            "network[0].file is missing; add `file = ...` to this [[network]];"
            " network[0].size is an unknown key",
        ),
        (ENTRY.replace('"w"', "3"), "network[0].file is 3, expected a path in quotes"),
        (f"{ENTRY}mean = [0.5, 0.5]\n", "network[0].mean[2] is missing, expected three numbers"),
        (f"{ENTRY}claim = 0.7\n", "network[0].claim is 0.7, expected a string"),
        (f"{ENTRY}mean = 3\n", "network[0].mean is 3, expected an array"),
        (ENTRY.replace("[[network]]", "[network]"), "[network] is one table, expected an array"),
        ("", "the table [[network]] is missing; add one for each network"),
        (f'{ENTRY}scores = ["msp", "mps"]\n', "network[0].scores is 'mps', expected one of "),
        (f"colour = 3\n{ENTRY}", "colour is an unknown key, expected one of network"),
        ("[[network]\n", "invalid TOML: "),
    ],
)
def test_networks_file_errors_state_the_received_and_the_expected_value(
    tmp_path: Path, text: str, expected: str
) -> None:
    file = tmp_path / "networks.toml"
    file.write_text(text)
    with pytest.raises(RecipeError) as caught:
        read_networks(file)
    assert str(caught.value).startswith(f"{file}: {expected}")
    assert "length of at least" not in str(caught.value)


def test_networks_file_that_cannot_be_read_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    file = tmp_path / "networks.toml"
    with pytest.raises(RecipeError, match=r"cannot read the file: No such file .*Give the path"):
        read_networks(file)
    file.write_bytes(b"name\xff")
    with pytest.raises(RecipeError, match="byte 4 is 0xff, expected UTF-8: save the file"):
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
