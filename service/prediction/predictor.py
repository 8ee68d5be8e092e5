"""One prediction request, from its headers to its verdicts, the same for every protocol.

`Predictor.predict` takes these steps, in this order:

 1. timeout: the shorter of X-Timeout-Ms and the setting (`deadline.py`);
 2. admission: rejected if the concurrency limit is reached (`admission.py`);
 3. deadline: the rest is cancelled after the timeout (`deadline.py`);
 4. body: read within the limits on its size, bytes and time (`images/body.py`); at its end, the
    request counts towards the concurrency limit;
 5. decode: to pixels, in a thread or, if small, here (`decode_pool.py`);
 6. batch: run with the images of other requests (`inference/batcher.py`);
 7. decide about all images together, if the request has X-FDR, and explain rejections;
 8. account: metrics and drift monitor (`registry/deployment.py`);
 9. shadow: maybe predict with a second model, too (`shadow.py`);
10. sample: maybe store some of the images (`sampling/sampler.py`).
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
from loky import cpu_count
from starlette.requests import Request
from starlette.types import Scope

from oodguard.service.client_address import client_of, network_of
from oodguard.service.errors import (
    ClientDisconnected,
    DeadlineExceeded,
    Overloaded,
    RequestError,
    ShedReason,
)
from oodguard.service.images.body import BodyObserver, read_body
from oodguard.service.images.types import Body, RequestLimits
from oodguard.service.inference.queue import Job
from oodguard.service.prediction.admission import Admission, Claim
from oodguard.service.prediction.deadline import Deadline, DisconnectListener, request_timeout_s
from oodguard.service.prediction.decode_pool import MAX_INLINE_PIXELS, DecodePool, Reserve
from oodguard.service.prediction.false_discovery_header import requested_rate
from oodguard.service.prediction.memory_return import MemoryReturn
from oodguard.service.prediction.shadow import Shadow
from oodguard.service.readiness import Readiness
from oodguard.service.registry.deployment import Deployment
from oodguard.service.registry.registry import ModelRegistry
from oodguard.service.sampling.sampler import SampleSelector
from oodguard.service.settings import Settings
from oodguard.service.telemetry.metrics import Metrics

ReadBody: TypeAlias = Callable[[Request, int, BodyObserver], Awaitable[Body]]
"""Reads the body of a request, up to a number of bytes; see `images.body.read_body`."""

SHED: Mapping[type[RequestError], ShedReason] = {
    Overloaded: "overloaded",
    DeadlineExceeded: "late",
    ClientDisconnected: "gone",
}

SHADOW_CLIENT = "shadow model"
"""The client of shadow predictions. No address and no id of a key has a space."""


@dataclass(slots=True)
class _Reception:
    """Bounds the bytes and the time of a body, and admits its request when it is complete.

    Until then the request holds only the bytes that were received: clients that send slowly do not
    prevent others from being served.
    """

    claim: Claim
    deadline: Deadline

    def received(self, count: int) -> None:
        self.claim.add("bytes", count)
        self.deadline.body_received(count)

    def complete(self) -> None:
        self.deadline.body_complete()
        self.claim.add("requests", 1)


class Predictor:
    """Predict the images of requests, within limits that all models share.

    ONNX Runtime and the image decoders release the interpreter lock, so the event loop stays free.

    Attributes:
        admission: The limits on what is in flight.
        decode_pool: The decode threads.
    """

    def __init__(  # noqa: PLR0913 - the parts of the service that it connects
        self,
        registry: ModelRegistry,
        settings: Settings,
        metrics: Metrics,
        readiness: Readiness,
        sampler: SampleSelector | None = None,
        *,
        admission: Admission,
        large_decode_bytes: int,
        reserve: Reserve = nullcontext,
    ) -> None:
        self._registry = registry
        self._metrics = metrics
        self._readiness = readiness
        self._sampler = sampler
        self._timeout_s = settings.timeout_s
        self._body_timeout_s = settings.body_timeout_s
        self._detail = settings.detail
        self._limits = RequestLimits.of(settings)
        self.admission = admission
        admission.on_released = MemoryReturn().released
        metrics.observe_in_flight(lambda: self.admission.requests, settings.max_pending)
        self.decode_pool = DecodePool(
            settings.decode_threads or cpu_count(), self._limits, large_decode_bytes, reserve
        )
        self._shadow = Shadow(
            registry=registry,
            predict=self.predict_body,
            random_source=random.Random(),  # noqa: S311 - the draw is no secret
        )

    def deployment(self, request: Request) -> Deployment:
        """Return the model that the path names by `name` and `version`, or the default model.

        Raises:
            NotReady: No model is warmed up yet.
            UnknownModel: The model is not served.
        """
        self._readiness.require_warm()
        named = request.path_params
        if not named:
            return self._registry.default
        return self._registry.find(named["name"], named.get("version"))

    async def predict(
        self,
        deployment: Deployment,
        request: Request,
        read: ReadBody = read_body,
        *,
        record: bool = True,
        finish: Callable[[Job], Awaitable[None]] | None = None,
    ) -> Job:
        """Predict every image of a request.

        Facts for the access log are added to the request's state. With `record`, the images are
        traffic: they are counted, tested for drift, sampled, and copied to the shadow model.
        `finish` is called with the verdicts, within the limits and the deadline of the request.

        Returns:
            The job with the verdicts, in the order of the images.

        Raises:
            RequestError: The request is invalid, or cannot be served now.
        """
        state = request.scope["state"]
        state["model"], state["version"] = deployment.name, deployment.version
        timeout_s = request_timeout_s(request.headers.get("x-timeout-ms"), self._timeout_s)
        fdr = requested_rate(request.scope, deployment.model, self._detail)
        client = client_of(request.scope)
        try:
            self.admission.require_request(client)
            # The deployment is in use before the body is read: a reload waits for this request.
            with deployment, Claim(self.admission, client) as claim:
                async with Deadline(timeout_s, self._body_timeout_s) as deadline:
                    body = await read(
                        request, self._limits.max_body_bytes, _Reception(claim, deadline)
                    )
                    if body.timeout_s is not None:
                        deadline.shorten(body.timeout_s)
                    job = _new_job(deadline, claim)
                    job.fdr = fdr
                    # Set before the prediction: the log has the stages of a failed one, too.
                    state["timings"] = job.timings
                    with DisconnectListener(request.receive, job.cancel):
                        await self._decode_and_run(deployment, job, body, claim)
                        policy_verdicts = job.verdicts
                        deployment.decide_together(job)
                        await self._explain(deployment, job, record=record)
                        if finish is not None:
                            await finish(job)
        except tuple(SHED) as error:
            self._count_shed(request.scope, error)
            raise
        state["images"] = len(job.verdicts)
        if not record:
            state["rejected"] = int(np.count_nonzero(job.verdicts.rejected))
            return job
        state["rejected"] = deployment.account(job)
        if self._registry.shadow:
            self._shadow.maybe_predict(deployment, body, policy_verdicts)
        rejected = state["rejected"]
        if self._sampler and self._sampler.selects(
            rejected=rejected, accepted=state["images"] - rejected
        ):
            self._sampler.sample(deployment.model, state["request_id"], body, job.verdicts, fdr)
        return job

    async def predict_body(self, deployment: Deployment, body: Body) -> Job:
        """Predict a body that has already been answered, for the shadow model.

        Raises:
            RequestError: The body is invalid for this model, or a limit is reached.
        """
        with Claim(self.admission, SHADOW_CLIENT) as claim:
            async with Deadline(self._timeout_s) as deadline:
                claim.add("requests", 1)
                claim.add("bytes", len(body.data))
                job = _new_job(deadline, claim)
                with deployment:
                    await self._decode_and_run(deployment, job, body, claim)
        return job

    def may_shed(self) -> bool:
        """Return whether `require_capacity` may reject a request."""
        return self.admission.may_be_full() or self.admission.has_unread()

    def require_capacity(self, scope: Scope) -> None:
        """Reject a request while a limit is reached, and count it as shed.

        Raises:
            Overloaded: The concurrency limit is reached, in total or for the client, or the clients
                of its address do not read their responses.
        """
        self.require_reader(scope)
        try:
            self.admission.require_request(client_of(scope))
        except Overloaded as error:
            self._count_shed(scope, error)
            raise

    def require_reader(self, scope: Scope) -> None:
        """Reject a request while the clients of its address leave too many responses unread.

        Raises:
            Overloaded: They do, and the request was counted as shed.
        """
        if not self.admission.has_unread():
            return
        try:
            self.admission.require_reader(network_of(scope["state"]["client"]))
        except Overloaded as error:
            self._count_shed(scope, error)
            raise

    async def _decode_and_run(
        self, deployment: Deployment, job: Job, body: Body, claim: Claim
    ) -> None:
        try:
            self.decode_pool.decode_and_queue(deployment, job, body, claim)
            await job.future
        finally:
            # After an error or a cancellation, the threads skip the rest of the job.
            job.abandoned = True

    async def _explain(self, deployment: Deployment, job: Job, *, record: bool) -> None:
        rejected = int(np.count_nonzero(job.verdicts.rejected))
        if not rejected:
            return
        height, width = job.pixels.shape[1:3]
        if rejected * height * width <= MAX_INLINE_PIXELS:
            deployment.explain(job, record=record)
        else:
            explain = partial(deployment.explain, job, record=record)
            await self.decode_pool.run(job.client, explain)

    def _count_shed(self, scope: Scope, error: RequestError) -> None:
        scope["state"]["shed"] = reason = SHED[type(error)]
        self._metrics.count_shed(reason)


def _new_job(deadline: Deadline, claim: Claim) -> Job:
    future = asyncio.get_running_loop().create_future()
    return Job(future=future, deadline=deadline.at, client=claim.name)
