"""Serve a bundle with Ray Serve: `serve run oodguard.ray_serve:app bundle=DIR replicas=2`.

Each replica is an actor with the service's own ASGI application. A second deployment, the
collector, adds up the metrics of all replicas and tests their scores for drift.
"""

import sys
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ray import serve
from ray.serve.handle import DeploymentHandle

from oodguard.models.bundle import open_bundle
from oodguard.models.errors import GuardError
from oodguard.models.validation_errors import describe_error
from oodguard.service.app import create_app
from oodguard.service.inference.model import errors_with_folder
from oodguard.service.registry.registry import bundle_folders
from oodguard.service.server.garbage_collector import tune_garbage_collector
from oodguard.service.settings import Settings, unknown_variables, variable
from oodguard.service.settings_conflicts import conflicts
from oodguard.service.telemetry import logs
from oodguard.service.worker import SWITCH_INTERVAL_S
from oodguard.service.workers.channel import Message
from oodguard.service.workers.replica_collector import REPORT_INTERVAL_S, ReplicaCollector
from oodguard.service.workers.replica_link import ReplicaLink

# The service has an access log of its own.
QUIET = {"enable_access_log": False}


class SettingsError(GuardError):
    """The settings cannot be used with Ray Serve."""


class Options(BaseModel):
    """The arguments of the application."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    bundle: Path | None = None
    """Folder of the bundle, at the same path on all machines. None: OODGUARD_BUNDLE."""

    replicas: int = Field(default=1, ge=1)
    """Number of replicas."""

    cpus: int = Field(default=1, ge=1)
    """CPUs of each replica, for runs and for decoding."""

    gpus: float = Field(default=0, ge=0)
    """GPUs of each replica. 0: it runs on CPUs."""


def app(arguments: dict[str, Any]) -> Any:  # noqa: ANN401 - an application of Ray Serve
    """Return the application.

    All other settings are those of the service: OODGUARD_* variables of this process, which are
    sent to the replicas.

    Args:
        arguments: The values of `Options`.

    Raises:
        GuardError: An argument or a setting is invalid, or cannot be used with Ray Serve, or a
            bundle is missing or invalid.
    """
    # Not by Ray, whose error does not name the valid arguments.
    options = read_options(arguments)
    settings = replica_settings(options)
    # Before Ray starts replicas, which would fail after minutes.
    for folder in bundle_folders(settings):
        with errors_with_folder(folder):
            open_bundle(folder)
    collector = serve.deployment(
        _Collector,
        name="collector",
        max_ongoing_requests=1000,
        ray_actor_options={"num_cpus": 0},
        logging_config=QUIET,
    ).bind(settings)
    replica = serve.deployment(
        serve.ingress()(_Replica),
        name="guard",
        num_replicas=options.replicas,
        ray_actor_options={"num_cpus": options.cpus, "num_gpus": options.gpus},
        # The application itself rejects requests over its limit; Ray would let them wait.
        max_ongoing_requests=2 * settings.max_pending,
        graceful_shutdown_timeout_s=settings.timeout_s + settings.body_timeout_s,
        health_check_period_s=REPORT_INTERVAL_S,
        logging_config=QUIET,
        user_config={"reload": 0},
    )
    return replica.bind(settings, collector)


def read_options(arguments: dict[str, Any]) -> Options:
    """Read the arguments of the application.

    Raises:
        SettingsError: An argument is unknown or invalid.
    """
    for name in arguments:
        if name not in Options.model_fields:
            raise SettingsError(
                f"unknown argument {name}, expected {', '.join(Options.model_fields)}. All other"
                " settings are OODGUARD_* variables: docs/settings.md"
            )
    try:
        return Options.model_validate(arguments)
    except ValidationError as error:
        fault = error.errors()[0]
        raise SettingsError(describe_error(fault, str(fault["loc"][0]), null="none")) from None


def replica_settings(options: Options) -> Settings:
    """Return the settings of a replica.

    Raises:
        SettingsError: A setting is invalid, or cannot be used with Ray Serve.
    """
    given: dict[str, object] = {
        "device": "cuda" if options.gpus else "cpu",
        "threads": options.cpus,
        "decode_threads": options.cpus,
        "workers": 1,
    }
    if options.bundle is not None:
        given["bundle"] = options.bundle.resolve()
    try:
        settings = Settings.model_validate(given)
    except ValidationError as error:
        fault = error.errors()[0]
        field = str(fault["loc"][0]) if fault["loc"] else ""
        raise SettingsError(describe_error(fault, variable(field), null="none")) from None
    found = [f"unknown setting {name}; see oodguard serve --help" for name in unknown_variables()]
    found += conflicts(settings)
    if settings.admin:
        found.append(
            "OODGUARD_ADMIN is true, expected false: a request reaches one replica only. Reload all"
            " of them with user_config"
        )
    if found:
        raise SettingsError("; ".join(found))
    return settings


class _Collector:
    """The deployment with the sums of metrics and the drift tests."""

    def __init__(self, settings: Settings) -> None:
        _configure_logs(settings)
        self._collector = ReplicaCollector(settings)

    async def handle(self, replica: str, message: Message) -> Message:
        """Handle a message of a replica."""
        return self._collector.handle(replica, message)

    def __del__(self) -> None:
        """Save the evidence of drift when Ray ends the collector."""
        self._collector.close()


class _Replica:
    """The deployment that serves the application."""

    def __init__(self, settings: Settings, collector: DeploymentHandle) -> None:
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        _configure_logs(settings)
        self._settings = settings
        self._collector = collector
        self._name = serve.get_replica_context().replica_id.unique_id
        self._link = ReplicaLink(self._post)
        self._is_configured = False

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Load the models, and return the application."""
        application = create_app(self._settings, own_process=self._link)
        tune_garbage_collector()
        return application

    async def reconfigure(self, _user_config: object) -> None:
        """Reload keys and models when `user_config` has changed. The first call is at start."""
        if self._is_configured:
            await self._link.reload_all()
        self._is_configured = True

    async def check_health(self) -> None:
        """Report the metrics: Ray calls this every `REPORT_INTERVAL_S`."""
        self._link.report()

    async def _post(self, message: Message) -> Message:
        answer: Message = await self._collector.handle.remote(self._name, message)
        return answer


def _configure_logs(settings: Settings) -> None:
    logs.configure(
        settings.log_level, "json" if settings.log_format == "auto" else settings.log_format
    )
    logs.silence_decoders()
