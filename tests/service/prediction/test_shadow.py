"""Shadow traffic: predictions of a second model, which appear in the metrics only."""

from pathlib import Path

from tests.e2e.conftest import wait_until
from tests.service.checks import answering_model, metric
from tests.service.conftest import MakeClient


def test_shadow_predicts_the_requests_of_the_default_model(
    three_models: Path, make_client: MakeClient
) -> None:
    client = make_client(
        models=three_models, default_model="one", shadow_model="two", shadow_share=1
    )
    for _ in range(3):
        assert answering_model(client) == ("one", "10")
    assert answering_model(client, "/models/one/versions/9/predict") == ("one", "9")

    def count(name: str, **labels: str) -> float:
        return metric(client.get("/metrics").text, f"oodguard_{name}_total", model="two", **labels)

    # No response waits for the shadow.
    wait_until(lambda: count("shadow_images", agreement="same") == 3)
    assert count("shadow_images", agreement="different") == 0
    assert count("decisions", decision="accept") == 3
