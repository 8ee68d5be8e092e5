"""Samples of all workers: selected in a worker, written by the supervisor within one limit."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from oodguard.models.reasons import Reason
from oodguard.models.verdicts import Decision, Verdict
from oodguard.service.images.types import Body
from oodguard.service.inference.model import LoadedModel
from oodguard.service.sampling.sample import SampledRequest
from oodguard.service.sampling.sampler import MAX_PENDING_BYTES, Sampler, SampleSelector
from oodguard.service.workers.channel import Channel, Message


class SentSamples(SampleSelector):
    """Selects images of answered requests, and sends them to the supervisor."""

    def __init__(self, channel: Channel, rates: Mapping[Decision, float]) -> None:
        super().__init__(rates, random.Random())  # noqa: S311 - the selection is not secret
        self._channel = channel

    def sample(
        self,
        model: LoadedModel,
        request_id: str,
        body: Body,
        verdicts: Sequence[Verdict],
        fdr: float | None = None,
    ) -> None:
        """Select some of the images of a request and send them; drop them if too many wait."""
        request = self.select(model, request_id, body, verdicts, fdr)
        if request is None:
            return
        fits = self._channel.unsent_bytes + len(body.data) <= MAX_PENDING_BYTES
        self._channel.notify(
            "sample" if fits else "sample_dropped",
            body.data if fits else b"",
            at=request.at.isoformat(),
            request_id=request.request_id,
            content_type=body.content_type,
            options=[[_text(name), _text(value)] for name, value in body.options.items()],
            shape=body.shape,
            model=request.model,
            policy=request.policy,
            verdicts=[[index, asdict(each)] for index, each in request.verdicts.items()],
        )


def write_sample(sampler: Sampler, message: Message) -> None:
    """Let the supervisor's sampler write the images that a worker has selected."""
    fields = message.fields
    body = Body(
        data=message.payload,
        content_type=fields["content_type"],
        options={_bytes(name): _bytes(value) for name, value in fields["options"]},
        shape=fields["shape"],
    )
    sampler.write(
        SampledRequest(
            at=datetime.fromisoformat(fields["at"]),
            request_id=fields["request_id"],
            body=body,
            model=fields["model"],
            policy=fields["policy"],
            verdicts=sample_verdicts(message),
        )
    )


def sample_verdicts(message: Message) -> dict[int, Verdict]:
    """Return the verdicts of selected images by their index in the request."""
    return {index: _verdict(**fields) for index, fields in message.fields["verdicts"]}


def _verdict(reasons: Sequence[Mapping[str, Any]], **fields: Any) -> Verdict:  # noqa: ANN401
    return Verdict(**fields, reasons=tuple(_reason(**each) for each in reasons))


def _reason(range: Sequence[float | None] | None, **fields: Any) -> Reason:  # noqa: A002, ANN401
    low_and_high = None if range is None else (range[0], range[1])
    return Reason(**fields, range=low_and_high)


def _text(data: bytes) -> str:
    return data.decode("latin-1")


def _bytes(text: str) -> bytes:
    return text.encode("latin-1")
