"""What an operator can set: the OODGUARD_* variables, validated."""

import os
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "OODGUARD_"

ORIGIN = r"https?://[A-Za-z0-9.\-\[\]:]+"

# Above this count Pillow itself begins to warn of decompression bombs.
MOST_PIXELS = 89_478_485


def default_bundle() -> Path:
    """The bundle that ships, next to the installed `models` package."""
    return Path(str(files("oodguard.models"))) / "pretrained" / "cifar10-aloe"


class Settings(BaseSettings):
    """The settings of one process. Arguments win over OODGUARD_* variables, those over defaults."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_parse_none_str="none",
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
    )

    bundle: Path = Field(
        default_factory=default_bundle,
        description="folder of the bundle to serve",
    )
    models: Path | None = Field(
        default=None, description="folder of bundles to serve, in place of the one bundle"
    )
    default_model: str | None = Field(
        default=None,
        description="NAME or NAME@VERSION that answers POST /predict; none: the only one there is",
    )
    shadow_model: str | None = Field(
        default=None,
        description="NAME or NAME@VERSION that judges a share of the default's traffic as well",
    )
    shadow_share: float = Field(
        default=0.0, ge=0, le=1, description="share of the requests that the shadow model judges"
    )
    state: Path | None = Field(
        default=None,
        description="folder that keeps the evidence of drift over restarts; none: it is forgotten",
    )
    drift_delta: float = Field(
        default=0.01,
        gt=0,
        lt=1,
        description="chance that the evidence of drift ever passes its limit while there is none",
    )
    sample_rate: float = Field(
        default=0.0, ge=0, le=1, description="share of the rejected images that are kept for a look"
    )
    sample_to: str | None = Field(
        default=None,
        min_length=1,
        description="where they are kept: a folder, or s3://BUCKET/PREFIX",
    )
    sample_max_bytes: int = Field(
        default=2**30, ge=1, description="most bytes of them; the oldest make room"
    )
    sample_max_images: int = Field(
        default=10_000, ge=1, le=1_000_000, description="most of them; the oldest make room"
    )
    sample_max_days: float | None = Field(
        default=30.0,
        gt=0,
        le=36_500,
        description="days for which one is kept; none: until others need its room",
    )
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8000, ge=0, le=65535, description="port to listen on; 0 picks one")
    score: str | None = Field(
        default=None, description="score that decides; none: the bundle's default score"
    )
    alpha: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="share of in-distribution images that may be rejected",
    )
    delta: float | None = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="chance that the calibration draw breaks alpha; none: hold alpha on average",
    )
    max_body_bytes: int = Field(
        default=16 * 2**20, ge=1, description="largest request body, in bytes"
    )
    max_images: int = Field(default=256, ge=1, description="most images in one request")
    max_pixels: int = Field(
        default=25_000_000,
        ge=1,
        le=MOST_PIXELS,
        description="most pixels in one image, known from its header before it is decoded",
    )
    max_batch: int = Field(
        default=64, ge=1, le=4096, description="most images in one run of the model"
    )
    max_pending: int = Field(
        default=64, ge=1, description="most requests in flight; more get 429 with Retry-After"
    )
    max_pending_bytes: int = Field(
        default=256 * 2**20, ge=1, description="most bytes of bodies in flight, over all requests"
    )
    max_pending_images: int = Field(
        default=1024, ge=1, description="most images in flight, over all requests"
    )
    max_delay_ms: float = Field(
        default=2.0,
        ge=0,
        le=1000,
        description="longest that a ready image waits for others that are being decoded",
    )
    detail: Literal["full", "verdict"] = Field(
        default="full",
        description="how much answers say; verdict: no score, confidence, threshold or exact p",
    )
    timeout_s: float = Field(
        default=30.0, gt=0, le=3600, description="seconds until a request is given up with 504"
    )
    drain_s: float = Field(
        default=1.0,
        ge=0,
        le=3600,
        description="seconds that SIGTERM leaves for load balancers to see that it is not ready",
    )
    device: Literal["auto", "cpu", "cuda", "tensorrt"] = Field(
        default="auto",
        description="where models run; auto: CUDA where it is there, else the processor",
    )
    threads: int = Field(
        default=0,
        ge=0,
        le=1024,
        description="processors for all runs of a model; 0: those that this process may use",
    )
    threads_per_run: int = Field(
        default=1,
        ge=1,
        le=1024,
        description="threads of one run; more make one run quicker, and fewer at a time",
    )
    decode_threads: int = Field(
        default=0,
        ge=0,
        le=1024,
        description="threads that decode images; 0: the processors this process may use",
    )
    keys_file: Path | None = Field(
        default=None,
        description="TOML file of the API keys that are let in; none: whoever reaches the port is",
    )
    keys: str | None = Field(default=None, description="the text of such a file, in its place")
    requests_per_minute: int | None = Field(
        default=None,
        ge=1,
        le=100_000_000,
        description="most requests a minute of a key that has no limit of its own; none: no limit",
    )
    cors_origins: str | None = Field(
        default=None,
        pattern=rf"^(\*|{ORIGIN}(,\s*{ORIGIN})*)$",
        description="origins whose pages may ask, commas between them, or *; none: no page may",
    )
    admin: bool = Field(
        default=False,
        description="whether POST /admin/models/reload and its like are there; wants an admin key",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="least severe log line that is written"
    )
    log_format: Literal["auto", "json", "text"] = Field(
        default="auto",
        description="format of log lines; auto: text where stderr is a terminal, else JSON",
    )


def variable(field: str) -> str:
    """The environment variable that sets a field."""
    return PREFIX + field.upper()


def unknown_variables(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Name the OODGUARD_* variables that set nothing, most likely misspelt."""
    known = {variable(field) for field in Settings.model_fields}
    return sorted(
        name
        for name in environment
        if name.upper().startswith(PREFIX) and name.upper() not in known
    )


def describe() -> list[tuple[str, str, str]]:
    """Every setting as (variable, default, meaning), in the order of the model."""
    return [
        (variable(name), _default(name), field.description or "")
        for name, field in Settings.model_fields.items()
    ]


def _default(name: str) -> str:
    value = Settings.model_fields[name].default
    if name == "bundle":
        return "the packaged cifar10-aloe"
    return "none" if value is None else str(value)
