"""Show what a model sees and how it decides, without an effect on metrics, drift or samples."""

import asyncio
import base64
import io
import math
from functools import partial
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
import orjson
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter
from numpy.typing import NDArray
from PIL import Image
from starlette.requests import Request
from starlette.responses import Response

from oodguard.models.verdicts import Verdicts
from oodguard.service.api.predict import RawRoute, problem_responses
from oodguard.service.api.schemas import (
    REQUEST_BODY,
    REQUEST_HEADERS,
    Problem,
    operation_id,
    path_parameters,
)
from oodguard.service.auth.roles import requires
from oodguard.service.inference.queue import Job, Timings
from oodguard.service.playground.schemas import BareInspection, Inspection, ThresholdGrid
from oodguard.service.playground.threshold_grid import threshold_grid
from oodguard.service.prediction.predictor import Predictor
from oodguard.service.registry.deployment import Deployment
from oodguard.service.responses import Detail

Json: TypeAlias = dict[str, Any]

INSPECT_PATH = "/models/{name}/versions/{version}/inspect"
THRESHOLDS_PATH = "/models/{name}/versions/{version}/thresholds"

MOST_PROBABLE = 5

_SCHEMAS = {"full": Inspection, "verdict": BareInspection}


def inspect_router(predictor: Predictor, detail: Detail) -> APIRouter:
    """Create the routes, with the role of `/predict`; no thresholds if `detail` omits them."""

    async def inspect(request: Request) -> Response:
        """Return the verdicts of `predict`, and the first image as the model gets it.

        The images are not traffic: they are in no metric of a model, in no drift test and no
        sample, and no shadow model predicts them.
        """
        deployment = predictor.deployment(request)
        view = ""

        async def draw(job: Job) -> None:
            # Within the limits of the request, whose images stay in memory while it waits.
            nonlocal view
            encode = partial(_base64_png, job.pixels[0])
            view = await predictor.decode_pool.run(job.client, encode)

        job = await predictor.predict(deployment, request, record=False, finish=draw)
        body = {
            "request_id": request.scope["state"]["request_id"],
            **deployment.common(job),
            "predictions": deployment.predictions(job.verdicts),
            **({"classes": most_probable(job.verdicts)} if detail == "full" else {}),
            "input": view,
            "timings_ms": _milliseconds(job.timings),
        }
        return Response(orjson.dumps(body), media_type="application/json")

    # A reload replaces a deployment, and so computes its grid again. Requests of a grid that is
    # being computed wait for it, and one grid is computed at a time: each sorts all calibration
    # scores for every alpha.
    grids: WeakKeyDictionary[Deployment, asyncio.Task[bytes]] = WeakKeyDictionary()
    one_at_a_time = CapacityLimiter(1)

    async def compute(deployment: Deployment) -> bytes:
        return await run_sync(_grid, deployment, limiter=one_at_a_time)

    async def thresholds(request: Request) -> Response:
        """Return the calibration histogram, and the thresholds over a grid of alpha."""
        deployment = predictor.deployment(request)
        grid = grids.get(deployment)
        if grid is None or (grid.done() and (grid.cancelled() or grid.exception())):
            grid = grids[deployment] = asyncio.create_task(compute(deployment))
        # A client that disconnects does not end it for the others.
        return Response(await asyncio.shield(grid), media_type="application/json")

    router = APIRouter(route_class=RawRoute, dependencies=[requires("predict")])
    router.add_api_route(
        INSPECT_PATH,
        inspect,
        methods=["POST"],
        summary="Predict images without counting them, and return the model's input",
        operation_id=operation_id(INSPECT_PATH),
        response_model=None,
        responses={200: {"model": _SCHEMAS[detail]}, **problem_responses(INSPECT_PATH)},
        openapi_extra={
            "requestBody": REQUEST_BODY,
            "parameters": [*REQUEST_HEADERS, *path_parameters(INSPECT_PATH)],
        },
    )
    if detail == "full":
        router.add_api_route(
            THRESHOLDS_PATH,
            thresholds,
            summary="The calibration histogram, and the outcome of the policy over a grid of alpha",
            operation_id=operation_id(THRESHOLDS_PATH),
            response_model=None,
            responses={
                200: {"model": ThresholdGrid},
                404: {"model": Problem},
                503: {"model": Problem},
            },
            openapi_extra={"parameters": path_parameters(THRESHOLDS_PATH)},
        )
    return router


def most_probable(verdicts: Verdicts) -> list[Json]:
    """Return the most probable classes of the first image, and their softmax probabilities."""
    logits = verdicts.logits(0).astype(np.float64)
    # Logits that are infinite have no probabilities.
    with np.errstate(invalid="ignore"):
        odds = np.exp(logits - logits.max())
        shares = odds / odds.sum()
    first = np.argsort(-logits, kind="stable")[:MOST_PROBABLE].tolist()
    return [
        {
            "label": verdicts.arrays.classes[k],
            "confidence": float(shares[k]) if math.isfinite(shares[k]) else None,
        }
        for k in first
    ]


def _base64_png(pixels: NDArray[np.uint8]) -> str:
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, "PNG")
    return base64.b64encode(png.getvalue()).decode("ascii")


def _milliseconds(timings: Timings) -> Json:
    return {
        "decode": 1000 * timings.decode_s,
        "queue": 1000 * timings.queue_s,
        "run": 1000 * timings.run_s,
    }


def _grid(deployment: Deployment) -> bytes:
    model = deployment.model
    return orjson.dumps(threshold_grid(model.bundle, model.guard.policy, model.guard.thresholds))
