import tracemalloc
from pathlib import Path

from oodguard.models.bundle import open_bundle
from oodguard.models.decision import Policy
from oodguard.service.scoring.part_scorer import PartScorer, ScoringJob
from oodguard.service.scoring.plan import new_plan
from oodguard.service.scoring.source import list_pictures


def test_part_has_one_encoded_picture_in_memory_at_a_time(
    bundle_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(70):
        with (folder / f"{number:02}.png").open("wb") as file:
            file.truncate(2**20)
    policy = Policy(score="brightness")
    source = list_pictures([str(folder)], tmp_path / "names", image_column=None, max_bytes=2**21)
    bundle = open_bundle(bundle_folder)
    plan = new_plan(bundle, policy, None, source, fdr=None, max_pixels=99, max_bytes=2**21)
    job = ScoringJob(plan=plan, source=source, bundle=bundle_folder, device="cpu", out=tmp_path)
    scorer = PartScorer(job)
    counts: list[int] = []
    tracemalloc.start()
    try:
        tables = [scorer.score(part, on_images=counts.append) for part in range(plan.parts)]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [table.num_rows for table in tables] == counts == [64, 6]
    assert peak < 8 * 2**20  # of 64 MiB in a batch
