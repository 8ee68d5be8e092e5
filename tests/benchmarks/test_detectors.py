"""The table of the detectors is that of their reports, and the improvement follows from it."""

from pathlib import Path

import pytest
import torch

from benchmarks import detectors
from benchmarks.detectors import (
    FAMILIES,
    DetectorsReport,
    MeasuredCondition,
    MeasuredDetector,
    improvement,
    table,
)
from benchmarks.network_target import network_of_bundle
from benchmarks.shipped import PRETRAINED
from oodguard.models.bundle import open_bundle
from oodguard.training.report.model import Interval, MeanAuroc
from oodguard.training.scoring.parity import onnx_run


def measured(detector: str, auroc: float) -> MeasuredDetector:
    interval = Interval(low=auroc - 0.01, high=auroc + 0.02)
    return MeasuredDetector(
        detector=detector,
        conditions=tuple(
            MeasuredCondition(
                epsilon_255=epsilon,
                mean=MeanAuroc(auroc=auroc - epsilon / 100, auroc_interval=interval),
                sets={},
            )
            for epsilon in (0, 1, 2)
        ),
    )


def test_improvement_is_over_the_best_detector_with_its_least_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = {
        "cifar10-standard": [measured("energy", 0.31), measured("odin", 0.41)],
        "cifar10-oe": [measured("energy", 0.61)],
        "cifar10-aloe": [measured("abstain", 0.91)],
    }
    monkeypatch.setattr(detectors, "rows_of", rows.__getitem__)
    # At 1/255 each AUROC is .01 lower; the intervals are .90 to .93 and .60 to .63 or .40 to .43.
    assert improvement("CIFAR-10") == ".300 (at least .270) over `energy` (.600)"
    alone = improvement("CIFAR-10", outlier_exposure=False)
    assert alone == ".500 (at least .470) over `odin` (.400)"


def test_detectors_of_the_same_graph_are_kept_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "detectors.json"
    odin = DetectorsReport(name="x", measured="graph", results=(measured("odin", 0.4),))
    assert odin.with_others_of(path) == odin
    path.write_text(odin.model_dump_json())
    other = odin.model_copy(update={"results": (measured("mahalanobis", 0.3),)})
    assert [each.detector for each in other.with_others_of(path).results] == ["odin", "mahalanobis"]
    again = odin.model_copy(update={"results": (measured("odin", 0.5),)})
    assert again.with_others_of(path) == again
    assert other.model_copy(update={"measured": "y"}).with_others_of(path).results == other.results


def test_detector_table_is_in_the_results() -> None:
    page = Path("docs/results.md").read_text(encoding="utf-8")
    assert table() in page, "docs/results.md: run python -m benchmarks.detectors table"


@pytest.mark.parametrize("name", FAMILIES)
def test_readme_states_the_improvement_over_the_best_detector(name: str) -> None:
    readme = Path("README.md").read_text(encoding="utf-8")
    for outlier_exposure in (True, False):
        assert improvement(name, outlier_exposure=outlier_exposure) in readme


@pytest.mark.parametrize("name", ["cifar10-oe", "cifar10-aloe"])
@torch.no_grad()
def test_network_of_a_bundle_has_the_logits_of_its_graph(name: str) -> None:
    bundle = open_bundle(PRETRAINED / name)
    network, recipe = network_of_bundle(PRETRAINED / name, bundle)
    images = torch.randint(
        256, (4, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    expected, _ = onnx_run(bundle.model)(images.numpy())
    logits = network(images.permute(0, 3, 1, 2) / 255)[:, :10]
    torch.testing.assert_close(logits, torch.from_numpy(expected), atol=1e-4, rtol=1e-4)
    assert recipe.name == name
