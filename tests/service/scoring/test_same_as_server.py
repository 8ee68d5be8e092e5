"""The verdicts of `oodguard score` are those of POST /predict on the same pictures."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from starlette.testclient import TestClient

from oodguard.service.app import create_app
from oodguard.service.settings import Settings
from tests.service.scoring.conftest import run_score

ROOT = Path(__file__).parents[3]
BUNDLE = ROOT / "models" / "pretrained" / "cifar10-aloe"
PICTURES = 10_000
REQUEST = 200


def encoded_pictures() -> list[bytes]:
    """Return real pictures, moved and scaled at random, as JPEG, PNG and WebP."""
    random = np.random.default_rng(0)
    files = sorted((ROOT / "tests" / "data").rglob("*.png"))
    originals = [np.asarray(Image.open(each).convert("RGB")) for each in files]
    found = []
    for number in range(PICTURES):
        pixels = originals[random.integers(len(originals))]
        pixels = np.roll(pixels, random.integers(-4, 5, 2), axis=(0, 1))
        image = Image.fromarray(np.ascontiguousarray(pixels[:, :: random.choice([-1, 1])]))
        if number % 4 == 0:
            image = image.resize(tuple(random.integers(24, 80, 2)))
        stream = io.BytesIO()
        image.save(stream, ("JPEG", "PNG", "WEBP")[number % 3])
        found.append(stream.getvalue())
    return found


@pytest.mark.slow
def test_score_decides_as_the_server_on_10000_pictures(tmp_path: Path) -> None:
    pictures = encoded_pictures()
    pq.write_table(pa.table({"image": pictures}), tmp_path / "t.parquet", row_group_size=1000)
    result = run_score(BUNDLE, tmp_path / "out", tmp_path / "t.parquet")
    assert result.exit_code == 0, result.output
    rows = pq.read_table(tmp_path / "out").to_pylist()
    served = []
    with TestClient(create_app(Settings(bundle=BUNDLE))) as client:
        for start in range(0, PICTURES, REQUEST):
            files = [("files", each) for each in pictures[start : start + REQUEST]]
            response = client.post("/predict", files=files)
            assert response.status_code == 200, response.text
            served += response.json()["predictions"]
    assert len(rows) == len(served) == PICTURES
    for name in ("label", "class_id", "decision", "p_value"):
        assert [row[name] for row in rows] == [each[name] for each in served], name
    assert [row["reasons"] for row in rows] == [
        [reason["code"] for reason in each["reasons"] if reason["code"] != "repeated"]
        for each in served
    ]
    for name in served[0]["scores"]:
        np.testing.assert_allclose(
            [row[f"score_{name}"] for row in rows],
            [each["scores"][name] for each in served],
            rtol=1e-4,
            atol=1e-4,
        )
    assert len({row["decision"] for row in rows}) == 2
