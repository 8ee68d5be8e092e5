"""With OODGUARD_DETAIL=verdict the protocol's clients learn nothing by which they could climb."""

import pytest
from starlette.testclient import TestClient

from oodguard.service.responses import COARSE_P_VALUES
from tests.service.conftest import MakeClient
from tests.service.open_inference.speaking import answered, post_binary, post_json, refused
from tests.service.open_inference.speaking import pixels as plain
from tests.service.pictures import BLACK, GREEN, WHITE


@pytest.fixture
def terse(make_client: MakeClient) -> TestClient:
    return make_client(detail="verdict")


def test_the_verdict_is_told_with_a_coarse_p_value_alone(terse: TestClient) -> None:
    found = answered(post_binary(terse, plain(GREEN, WHITE)))
    assert tuple(found.values) == ("class_id", "label", "rejected", "p_value")
    assert found.values["label"] == ["green", "red"]
    assert found.values["rejected"].tolist() == [False, True]
    # p is 167 / 251 and 1 / 251: rounded up to the next level, the second to alpha.
    assert found.values["p_value"].tolist() == [1.0, 0.05]
    assert set(found.values["p_value"]) <= set(COARSE_P_VALUES)
    assert set(found.response.parameters) == {"sha256", "score", "alpha", "delta"}


@pytest.mark.parametrize("name", ["logits", "scores", "confidence"])
def test_what_could_be_climbed_is_refused_like_what_there_is_not(
    terse: TestClient, name: str
) -> None:
    text = refused(post_json(terse, plain(BLACK), outputs=[{"name": name}]), 422)
    assert f"the output '{name}' is asked for; there are class_id, label, rejected, p_value" in text


def test_the_metadata_do_not_list_it(terse: TestClient) -> None:
    outputs = terse.get("/v2/models/tiny").json()["outputs"]
    assert [each["name"] for each in outputs] == ["class_id", "label", "rejected", "p_value"]
