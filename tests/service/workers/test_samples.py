"""Samples that a worker selects and the supervisor writes."""

import asyncio
import socket
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from oodguard.models.reasons import Reason, repeated
from oodguard.models.verdicts import Verdict
from oodguard.service.images.types import Body
from oodguard.service.inference.model import LoadedModel
from oodguard.service.sampling.sample import SampledRequest
from oodguard.service.sampling.sampler import Sampler
from oodguard.service.workers import samples
from oodguard.service.workers.channel import Channel, Message
from oodguard.service.workers.samples import SentSamples, sample_verdicts, write_sample

pytestmark = pytest.mark.anyio

BODY = Body(
    data=b"\x00\xffimage",
    content_type="multipart/form-data",
    options={b"boundary": b"\xe9-1"},
    shape="1,8,8,3",
)


class Written:
    """Takes the place of the supervisor's sampler."""

    def __init__(self) -> None:
        self.requests: list[SampledRequest] = []

    def write(self, request: SampledRequest) -> None:
        self.requests.append(request)


def verdict(decision: Any) -> Verdict:
    return Verdict(
        label="red",
        class_id=0,
        confidence=0.5,
        scores={"a": 1.5, "b": float("inf")},
        p_value=0.25,
        decision=decision,
        reasons=(Reason(code="too_dark", detail="Dark.", value=1, range=(2, None)), repeated(2))
        if decision == "reject"
        else (),
    )


@pytest.mark.parametrize("fits", [True, False])
async def test_sent_samples_arrive_as_they_were_selected(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch, *, fits: bool
) -> None:
    monkeypatch.setattr(samples, "MAX_PENDING_BYTES", 100 if fits else 3)
    written, dropped = Written(), list[Verdict]()
    ours, its = socket.socketpair()

    def drop(message: Message) -> None:
        dropped.extend(sample_verdicts(message).values())

    ends = [
        Channel(
            ours,
            {
                "sample": lambda message: write_sample(cast("Sampler", written), message),
                "sample_dropped": drop,
                "sync": lambda _message: None,
            },
        ),
        Channel(its, {}),
    ]
    tasks = [asyncio.create_task(each.serve()) for each in ends]
    sent = SentSamples(ends[1], {"reject": 1.0, "accept": 0.0})
    started = datetime.now(UTC)
    await asyncio.sleep(0)
    sent.sample(model, "r", BODY, [verdict("accept"), verdict("reject")], 0.25)
    await ends[1].call("sync")
    for each in tasks:
        each.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    if not fits:
        assert dropped == [verdict("reject")]
        assert written.requests == []
        return
    (request,) = written.requests
    assert request.body == BODY
    assert request.request_id == "r"
    assert request.verdicts == {1: verdict("reject")}
    assert started <= request.at <= datetime.now(UTC)
    assert request.model["name"] == "tiny"
    assert request.policy["threshold"] == model.guard.threshold
    assert request.policy["fdr"] == 0.25
