"""The bundle reader in JavaScript, which docs/bundle.md describes, agrees with Python."""

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from oodguard import Guard
from oodguard.models.bundle import open_bundle
from oodguard.models.calibration import rejection_rank
from oodguard.models.manifest import InputSpec
from oodguard.models.preprocessing import prepare

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
PRETRAINED = ROOT / "models" / "pretrained"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("npm"), reason="node and npm are not installed"),
]

PIXELS = """\
import { readFile } from "node:fs/promises";
import { decodePng } from "./bundle_reader.mjs";
import { resize } from "./resize.mjs";
const [spec, ...names] = process.argv.slice(2);
for (const name of names) {
  const { rgb } = resize(decodePng(await readFile(name)), JSON.parse(spec));
  console.log(Buffer.from(rgb).toString("base64"));
}
"""

RANKS = """\
import { rejectionRank } from "./bundle_reader.mjs";
const cases = JSON.parse(process.argv[2]);
console.log(JSON.stringify(cases.map((each) => rejectionRank(...each))));
"""


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the reader and its packages."""
    folder = tmp_path_factory.mktemp("reader")
    shutil.copytree(ROOT / "examples" / "javascript", folder, dirs_exist_ok=True)
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
    subprocess.run(command, cwd=folder, check=True)
    return folder


def run_node(folder: Path, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["node", *arguments], cwd=folder, input=given, capture_output=True, text=True, check=False
    )


def node(folder: Path, *arguments: str, given: str = "") -> str:
    done = run_node(folder, *arguments, given=given)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("name", "images"),
    [
        ("cifar10-aloe", ["cifar10/*/*.png", "textures/*.png", "hands/*.png"]),
        ("cifar10-standard", ["cifar10/*/*.png", "cifar100/**/*.png"]),
        ("cifar100-standard", ["cifar100/**/*.png", "outliers/**/*.png"]),
    ],
)
def test_bundle_reader_decides_as_python(name: str, images: list[str], reader: Path) -> None:
    files = [file for pattern in images for file in sorted(DATA.glob(pattern))]
    lines = node(reader, "bundle_reader.mjs", str(PRETRAINED / name), *map(str, files))
    received: list[dict[str, Any]] = [json.loads(line) for line in lines.splitlines()]
    guard = Guard.open(PRETRAINED / name)
    verdicts = guard(files)
    rank = 1 / (len(open_bundle(PRETRAINED / name).rows) + 1)
    assert {each["decision"] for each in received} == {"accept", "reject"}
    for one, verdict in zip(received, verdicts, strict=True):
        assert (one["label"], one["decision"]) == (verdict.label, verdict.decision)
        assert one["threshold"] == guard.threshold
        assert one["scores"] == pytest.approx(dict(verdict.scores), rel=1e-4, abs=1e-4)
        # A score may be rounded to the other side of one calibration score.
        assert one["p_value"] == pytest.approx(verdict.p_value, rel=0, abs=1.01 * rank)


def test_bundle_reader_refuses_a_bundle_with_groups(reader: Path) -> None:
    picture = next(DATA.glob("signs/**/*.png"))
    done = run_node(reader, "bundle_reader.mjs", str(PRETRAINED / "gtsrb-aloe"), str(picture))
    assert done.returncode == 1
    assert "the calibration has groups, expected independent images" in done.stderr


SIZES = [(32, 32), (33, 31), (64, 64), (100, 37), (37, 100), (640, 480), (5, 7), (1, 90), (31, 32)]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Noise and edges of many sizes."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    paths = []
    for width, height in SIZES:
        pixels = random.integers(0, 256, (height, width, 3), np.uint8)
        pixels[: height // 2] = 255 * (pixels[: height // 2] > 127)
        paths.append(folder / f"{width}x{height}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


@pytest.mark.parametrize("resample", ["bicubic", "bilinear"])
@pytest.mark.parametrize("fit", ["crop", "stretch"])
@pytest.mark.parametrize("size", [(32, 32), (24, 56)])
def test_bundle_reader_resizes_to_the_pixels_of_the_service(
    reader: Path, pictures: list[Path], resample: str, fit: str, size: tuple[int, int]
) -> None:
    height, width = size
    values = {"height": height, "width": width, "fit": fit, "resample": resample}
    (reader / "pixels.mjs").write_text(PIXELS, encoding="utf-8")
    lines = node(reader, "pixels.mjs", json.dumps(values), *map(str, pictures)).splitlines()
    spec = InputSpec.model_validate(values)
    for path, line in zip(pictures, lines, strict=True):
        with Image.open(path) as image:
            assert base64.b64decode(line) == prepare(image, spec).tobytes(), path.name


def test_bundle_reader_decides_as_python_about_images_of_any_size(
    reader: Path, pictures: list[Path]
) -> None:
    bundle = PRETRAINED / "cifar10-aloe"
    lines = node(reader, "bundle_reader.mjs", str(bundle), *map(str, pictures)).splitlines()
    for line, verdict in zip(lines, Guard.open(bundle)(pictures), strict=True):
        one = json.loads(line)
        assert (one["label"], one["decision"]) == (verdict.label, verdict.decision)
        assert one["scores"] == pytest.approx(dict(verdict.scores), rel=1e-4, abs=1e-4)


def test_bundle_reader_has_the_ranks_of_python(reader: Path) -> None:
    (reader / "ranks.mjs").write_text(RANKS, encoding="utf-8")
    cases = [(59, 0.05, 0.05), (1000, 0.05, 0.05), (1000, 0.01, 0.05), (5000, 0.05, 0.05)]
    cases += [(5000, 0.01, 0.05), (4000, 0.2, 0.001), (299, 0.01, 0.05), (60000, 0.5, 0.1)]
    found = json.loads(node(reader, "ranks.mjs", json.dumps(cases)))
    assert found == [rejection_rank(n, alpha=alpha, delta=delta) for n, alpha, delta in cases]


def test_bundle_reader_refuses_an_altered_file(reader: Path, tmp_path: Path) -> None:
    bundle = shutil.copytree(PRETRAINED / "cifar10-aloe", tmp_path / "bundle")
    with (bundle / "README.md").open("a", encoding="utf-8") as card:
        card.write("\n")
    done = subprocess.run(
        ["node", "bundle_reader.mjs", str(bundle)],
        cwd=reader,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "README.md is not the file of the manifest" in done.stderr
