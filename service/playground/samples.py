"""The newest sampled rejections, for keys with the role admin: the images are those of clients."""

import asyncio
from collections.abc import Mapping

from fastapi import APIRouter
from starlette.responses import Response

from oodguard.service.auth.roles import requires
from oodguard.service.errors import RouteNotFound, SampleStoreError
from oodguard.service.playground.schemas import SampleFacts, SamplesResponse
from oodguard.service.sampling.sample import FILE_NAME
from oodguard.service.sampling.stored import RECORD, find_samples, read_record
from oodguard.service.sampling.stores import SampleStore

MAX_SHOWN = 24

# Of the newest samples that are searched for rejections.
MAX_READ = 200

MEDIA_TYPES: Mapping[str, str] = {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp"}


def samples_router(store: SampleStore, max_image_bytes: int) -> APIRouter:
    """Create the routes.

    Args:
        store: The store of the samples.
        max_image_bytes: Maximum size of an image that is returned.
    """
    router = APIRouter(prefix="/admin/samples", dependencies=[requires("admin")])

    @router.get("", summary="The newest sampled rejections")
    async def samples() -> SamplesResponse:
        return SamplesResponse(samples=await asyncio.to_thread(_newest_rejections, store))

    @router.get("/{file}", summary="The image of a sample", response_class=Response)
    async def image(file: str) -> Response:
        suffix = file.rpartition(".")[2]
        # The pattern has no separator, so that the name is one of a sample and nothing else.
        if suffix not in MEDIA_TYPES or not FILE_NAME.fullmatch(file):
            raise RouteNotFound(f"sample {file[:256]}: no such image")
        try:
            data = await asyncio.to_thread(store.get, file, max_image_bytes)
        except SampleStoreError as error:
            raise RouteNotFound(f"sample {file}: {error}") from error
        return Response(data, media_type=MEDIA_TYPES[suffix])

    return router


def _newest_rejections(store: SampleStore) -> list[SampleFacts]:
    facts: list[SampleFacts] = []
    for sample in find_samples(store, newest=MAX_READ).samples:
        if sample.stem + RECORD not in sample.files:
            continue
        try:
            record, _ = read_record(store, sample)
        except SampleStoreError:
            # Retention may have removed it in the meantime, or another program wrote it.
            continue
        if record.verdict.decision != "reject":
            continue
        facts.append(
            SampleFacts(
                file=sample.image,
                request_id=record.request_id,
                time=record.time,
                model=record.model.name,
                version=record.model.version,
                label=record.verdict.label,
                p_value=record.verdict.p_value,
                decision=record.verdict.decision,
            )
        )
        if len(facts) == MAX_SHOWN:
            break
    return facts
