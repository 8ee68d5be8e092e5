"""Shadow traffic: predictions of a second model, which appear in the metrics only."""

from pathlib import Path

import pytest

from tests.service.checks import answering_model
from tests.service.conftest import MakeClient
from tests.service.telemetry.test_metrics import samples, value


def test_shadow_predicts_the_requests_of_the_default_model(
    three_models: Path, make_client: MakeClient
) -> None:
    client = make_client(
        models=three_models, default_model="one", shadow_model="two", shadow_share=1
    )
    for _ in range(3):
        assert answering_model(client) == ("one", "10")
    assert answering_model(client, "/models/one/versions/9/predict") == ("one", "9")
    two = {"model": "two", "version": "1"}
    same = ("oodguard_shadow_images_total", frozenset({**two, "agreement": "same"}.items()))
    # No response waits for the shadow.
    for _ in range(1000):
        found = samples(client)
        if found.get(same) == 3:
            break
    else:
        pytest.fail("the shadow model did not predict the requests of the default model")
    assert value(found, "oodguard_shadow_images_total", agreement="different", **two) == 0
    assert value(found, "oodguard_decisions_total", decision="accept", **two) == 3
