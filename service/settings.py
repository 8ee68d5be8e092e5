"""The settings: OODGUARD_* environment variables, validated."""

import os
from collections.abc import Mapping
from importlib.resources import files
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from oodguard.command_line.exit_codes import DEBUG_VARIABLE

PREFIX = "OODGUARD_"

CLIENT_KEY = "OODGUARD_CLIENT_KEY"
"""The API key of `oodguard predict --url`, which is no setting of the service."""

# In the folder OODGUARD_MODELS, unless OODGUARD_POLICY is set.
POLICY_FILE = "policy.toml"

_ORIGIN = r"https?://[A-Za-z0-9.\-\[\]:]+"

# Pillow's own limit, above which it warns of decompression bombs.
PILLOW_MAX_PIXELS = 89_478_485


def default_bundle() -> Path:
    """Return the folder of the packaged default bundle."""
    return Path(str(files("oodguard.models"))) / "pretrained" / "cifar10-aloe"


def _networks(received: object) -> object:
    """Split the text of a variable into networks."""
    if not isinstance(received, str):
        return received
    try:
        return tuple(ip_network(each.strip()) for each in received.split(","))
    except ValueError as error:
        raise ValueError(
            f"{error}, expected addresses or networks such as 10.0.0.0/8, separated by commas"
        ) from error


class Settings(BaseSettings):
    """The settings of a process. Arguments override variables, variables override defaults."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_parse_none_str="none",
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )

    bundle: Path = Field(default_factory=default_bundle)
    """Folder of the bundle to serve."""

    models: Path | None = None
    """Folder of bundles to serve, instead of the one bundle."""

    policy: Path | None = None
    """File that precedes settings and is reloaded. none: policy.toml in OODGUARD_MODELS."""

    default_model: str | None = None
    """NAME or NAME@VERSION that answers POST /predict. none: the only model."""

    shadow_model: str | None = None
    """NAME or NAME@VERSION that also predicts a fraction of the default model's requests."""

    shadow_share: float = Field(default=0.0, ge=0, le=1)
    """Fraction of the requests that the shadow model predicts."""

    state: Path | None = None
    """Folder for the drift state, which then survives restarts. none: it is lost."""

    drift_delta: float = Field(default=0.01, gt=0, lt=1)
    """Probability of a false drift alarm, ever, while there is no drift."""

    sample_rate: float = Field(default=0.0, ge=0, le=1)
    """Fraction of the rejected images that are sampled."""

    sample_accept_rate: float = Field(default=0.0, ge=0, le=1)
    """Fraction of the accepted images that are sampled."""

    sample_to: str | None = Field(default=None, min_length=1)
    """Store for sampled images: a folder, or s3://BUCKET/PREFIX."""

    sample_max_bytes: int = Field(default=2**30, ge=1)
    """Maximum size of all sampled images, in bytes; the oldest are deleted first."""

    sample_max_images: int = Field(default=10_000, ge=1, le=1_000_000)
    """Maximum number of sampled images; the oldest are deleted first."""

    sample_max_days: float | None = Field(default=30.0, gt=0, le=36_500)
    """Retention of a sampled image, in days. none: no limit in time."""

    host: str = "127.0.0.1"
    """Address to listen on."""

    port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen on. 0: a free port."""

    root_path: str | None = Field(default=None, pattern=r"^(/[A-Za-z0-9._~-]+)+$")
    """Path prefix that a reverse proxy removes, for the API description. none: no prefix."""

    score: str | None = None
    """Score that decides. none: the bundle's default score."""

    alpha: float | None = Field(default=0.05, gt=0, lt=1)
    """Maximum fraction of in-distribution images that are rejected. none: beta decides alone."""

    delta: float | None = Field(default=0.05, gt=0, lt=1)
    """Probability that the calibration draw violates alpha. none: alpha holds on average."""

    by_class: bool = False
    """Whether the policy holds for the images of each predicted class."""

    under_attack: int | None = Field(default=None, ge=1, le=255)
    """Attack budget, in 255ths, up to which alpha holds. none: for images without an attack."""

    beta: float | None = Field(default=None, gt=0, lt=1)
    """Maximum fraction of in-distribution images that are accepted with a wrong class. none: no
    bound."""

    max_body_bytes: int = Field(default=16 * 2**20, ge=1)
    """Maximum size of a request body, in bytes."""

    max_images: int = Field(default=256, ge=1)
    """Maximum number of images in a request."""

    max_pixels: int = Field(default=25_000_000, ge=1, le=PILLOW_MAX_PIXELS)
    """Maximum number of pixels in an image, checked in its header before decoding; five sixths of
    it for formats that take 12 bytes a pixel."""

    max_batch: int = Field(default=64, ge=1, le=4096)
    """Maximum number of images in one run of the model."""

    max_pending: int = Field(default=80, ge=1)
    """Maximum number of requests in flight; more are rejected with 429."""

    max_pending_bytes: int = Field(default=128 * 2**20, ge=1)
    """Maximum size of all request bodies in flight, in bytes."""

    max_pending_images: int = Field(default=1024, ge=1)
    """Maximum number of images in flight, over all requests."""

    max_delay_ms: float = Field(default=2.0, ge=0, le=1000)
    """Maximum time that a decoded image waits for others being decoded, in milliseconds."""

    detail: Literal["full", "verdict"] = "full"
    """Level of detail in responses: full or verdict. "verdict" omits scores, confidence, threshold
    and exact p-values."""

    timeout_s: float = Field(default=30.0, gt=0, le=3600)
    """Seconds until a request is rejected with 504."""

    body_timeout_s: float = Field(default=20.0, gt=0, le=3600)
    """Seconds until a request whose body is incomplete is rejected with 408."""

    drain_s: float = Field(default=1.0, ge=0, le=3600)
    """Seconds between SIGTERM and the end of new connections, for load balancers to react."""

    device: Literal["auto", "cpu", "cuda", "tensorrt"] = "auto"
    """Device that runs models: auto, cpu, cuda or tensorrt. auto: CUDA if available, else the
    CPU."""

    workers: Annotated[int, Field(ge=1, le=256)] | Literal["auto"] = "auto"
    """Worker processes. auto: one for each CPU, fewer if the memory requires it; 1 on a GPU."""

    threads: int = Field(default=0, ge=0, le=1024)
    """CPUs for all runs of a model. 0: the CPUs available to the service."""

    threads_per_run: int = Field(default=1, ge=1, le=1024)
    """Threads of one run. More make one run faster, and fewer run in parallel."""

    decode_threads: int = Field(default=0, ge=0, le=1024)
    """Threads that decode images. 0: the CPUs available to the service."""

    keys_file: Path | None = None
    """TOML file of the API keys. none: authentication is disabled."""

    keys: str | None = None
    """Content of such a file, instead of a file."""

    requests_per_minute: int | None = Field(default=None, ge=1, le=100_000_000)
    """Rate limit of keys without their own limit. none: no limit."""

    trusted_proxies: Annotated[
        tuple[IPv4Network | IPv6Network, ...] | None, NoDecode, BeforeValidator(_networks)
    ] = None
    """Addresses and networks (CIDR) of proxies whose X-Forwarded-For is used, separated by commas.
    none: the client is the peer of the connection."""

    cors_origins: str | None = Field(default=None, pattern=rf"^(\*|{_ORIGIN}(,\s*{_ORIGIN})*)$")
    """Allowed CORS origins, separated by commas, or *. none: no other origin."""

    guide: Path | None = None
    """Folder of the documentation site, as `make docs` builds it, to serve at /guide. none: it is
    not served."""

    playground: bool = True
    """Serve the playground, a page to try images on, at GET /."""

    admin: bool = False
    """Enable the routes under /admin; requires a key with the role admin."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Minimum severity of log lines: debug, info, warning or error."""

    log_format: Literal["auto", "json", "text"] = "auto"
    """Format of log lines: auto, json or text. auto: text if stderr is a terminal, else JSON."""


def variable(field: str) -> str:
    """Return the environment variable of a field."""
    return PREFIX + field.upper()


def unknown_variables(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the OODGUARD_* variables that are not settings, most likely misspelt."""
    known = {CLIENT_KEY, DEBUG_VARIABLE, *(variable(field) for field in Settings.model_fields)}
    return sorted(
        name
        for name in environment
        if name.upper().startswith(PREFIX) and name.upper() not in known
    )


def describe() -> list[tuple[str, str, str]]:
    """Return every setting as (variable, default, meaning), in the order of the model."""
    return [
        (variable(name), _default(name), " ".join((field.description or "").split()))
        for name, field in Settings.model_fields.items()
    ]


def _default(name: str) -> str:
    value = Settings.model_fields[name].default
    if name == "bundle":
        return "the packaged cifar10-aloe"
    return "none" if value is None else str(value)
