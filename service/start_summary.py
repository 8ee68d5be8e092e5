"""The summary that is logged at start."""

import logging
from typing import Any

from loky import cpu_count

from oodguard.service import responses
from oodguard.service.auth.key_store import KeyStore
from oodguard.service.memory import memory_limit
from oodguard.service.prediction.memory_budget import MEGABYTE, MemoryBudget
from oodguard.service.registry.deployment import Deployment
from oodguard.service.registry.policy_file import policy_path
from oodguard.service.registry.registry import ModelRegistry
from oodguard.service.settings import Settings

logger = logging.getLogger("oodguard.server")


def start_summary(  # noqa: PLR0913 - keyword-only
    settings: Settings,
    *,
    version: str,
    runtime: str,
    processes: int,
    registry: ModelRegistry,
    keys: KeyStore | None,
    budget: MemoryBudget,
) -> dict[str, Any]:
    """Return what is served, how and within which limits, as the fields of a log record."""
    limit = memory_limit()
    default = registry.default
    return {
        "version": version,
        "runtime": f"ONNX Runtime {runtime}",
        "models": [_model(each) for each in registry.deployments()],
        "default": f"{default.name}@{default.version}",
        "shadow": registry.routing.shadow.text if registry.routing.shadow else None,
        "policy_file": _policy_file(settings),
        "state": str(settings.state) if settings.state else None,
        "workers": {
            "processes": processes,
            "runs": default.model.session.runs,
            "threads_per_run": default.model.session.threads,
            "decode_threads": settings.decode_threads or cpu_count(),
        },
        "limits": {
            name: getattr(settings, name)
            for name in (
                "max_body_bytes",
                "max_images",
                "max_pixels",
                "max_batch",
                "max_pending",
                "max_pending_bytes",
                "max_pending_images",
                "timeout_s",
                "body_timeout_s",
            )
        },
        "keys": "off" if keys is None else len(keys.ring),
        "admin": settings.admin,
        "detail": settings.detail,
        "root_path": settings.root_path,
        "trusted_proxies": [str(each) for each in settings.trusted_proxies or ()],
        "memory_mb": budget.megabytes(),
        "memory_limit": None
        if limit is None
        else {"mb": limit.bytes // MEGABYTE, "source": limit.source},
    }


def _policy_file(settings: Settings) -> dict[str, Any] | None:
    path = policy_path(settings)
    return None if path is None else {"path": str(path), "found": path.is_file()}


def log_start(address: str, summary: dict[str, Any]) -> None:
    """Log the summary as one event; on a terminal, each field has a line of its own."""
    fields = {"address": address, **summary}
    logger.info("The service starts.", extra={"fields": fields, "summary": True})


def _model(deployment: Deployment) -> dict[str, Any]:
    model = deployment.model
    return {
        "name": deployment.name,
        "version": deployment.version,
        **responses.policy(model),
        "limitations": model.guard.limitations,
        "provider": model.session.providers[0],
    }
