"""One request judged by the model that it names: the same steps whichever protocol it speaks."""

from starlette.requests import Request

from service.deployments.catalog import Catalog
from service.deployments.deployment import Deployment
from service.deployments.shadow import Shadow
from service.http.readiness import Readiness
from service.inference.jobs import Job
from service.requests.bodies import read_body
from service.requests.pipeline import Pipeline, Read
from service.samples.sampler import Sampler


class Judging:
    """Finds the model, has the images judged, and accounts for the verdicts.

    Args:
        catalog: The models that are served.
        pipeline: The way to them.
        shadow: Who may judge the same images again.
        readiness: Whether the models have been warmed up.
        sampler: Who may keep what is rejected.
    """

    def __init__(
        self,
        catalog: Catalog,
        pipeline: Pipeline,
        shadow: Shadow,
        readiness: Readiness,
        sampler: Sampler | None = None,
    ) -> None:
        self._catalog = catalog
        self._pipeline = pipeline
        self._shadow = shadow
        self._readiness = readiness
        self._sampler = sampler

    def deployment(self, request: Request) -> Deployment:
        """The model that a path names by `name` and maybe `version`; else the default one.

        Raises:
            NotReady: No model has been warmed up yet.
            UnknownModel: There is no such model.
        """
        self._readiness.require_warm()
        named = request.path_params
        if not named:
            return self._catalog.default
        return self._catalog.find(named["name"], named.get("version"))

    async def judge(self, deployment: Deployment, request: Request, read: Read = read_body) -> Job:
        """Judge every image of a request, and count, log and maybe shadow or keep what was found.

        Raises:
            RequestError: What is wrong with it, or with the moment.
        """
        state = request.scope["state"]
        state["model"], state["version"] = deployment.name, deployment.version
        body, job = await self._pipeline.answer(deployment, request, read)
        state["images"] = len(job.verdicts)
        state["rejected"] = deployment.account(job)
        self._shadow.follow(deployment, body, job.verdicts)
        if self._sampler and state["rejected"]:
            self._sampler.follow(deployment.model, state["request_id"], body, job.verdicts)
        return job
