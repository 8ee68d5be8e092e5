"""POST /admin/...: what an operator may tell a running service."""

from collections.abc import Sequence

from fastapi import APIRouter

from service.deployments.reloading import Change, Reloader
from service.errors import BundleRefused
from service.routes.schemas import BundleChange, Problem, ReloadAnswer

REFUSALS: dict[int | str, dict[str, object]] = {404: {"model": Problem}, 409: {"model": Problem}}


def router(reloader: Reloader) -> APIRouter:
    """Make the routes."""
    routes = APIRouter(prefix="/admin")

    @routes.post("/models/reload", summary="Look at every bundle again", responses=REFUSALS)
    async def reload_all() -> ReloadAnswer:
        return _answer(await reloader.reload())

    @routes.post(
        "/models/{name}/reload", summary="Look at one model's bundles again", responses=REFUSALS
    )
    async def reload_one(name: str) -> ReloadAnswer:
        return _answer(await reloader.reload(name))

    return routes


def _answer(changes: Sequence[Change]) -> ReloadAnswer:
    """Tell what changed.

    Raises:
        BundleRefused: Something was refused; what was accepted is served all the same.
    """
    refused = [f"{each.folder.name}: {each.detail}" for each in changes if each.detail]
    if refused:
        raise BundleRefused(f"{'; '.join(refused)} (what was served before still is)")
    return ReloadAnswer(
        changes=[
            BundleChange(model=each.model, version=each.version, outcome=each.outcome)
            for each in changes
        ]
    )
