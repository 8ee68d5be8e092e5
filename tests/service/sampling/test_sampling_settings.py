"""The settings of sampling: the location of the store and the rates."""

import sys

import pytest
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from oodguard.service.errors import SamplingError
from oodguard.service.sampling.sampler import sampler_from
from oodguard.service.settings import Settings


@pytest.mark.parametrize(
    ("to", "message"),
    [
        (None, "OODGUARD_SAMPLE_RATE is 0.5 and OODGUARD_SAMPLE_ACCEPT_RATE is 0, but"),
        ("gs://samples/guard", "OODGUARD_SAMPLE_TO is gs://samples/guard, expected a folder"),
        ("/proc/samples", "Samples cannot be written to /proc/samples"),
        ("s3:/bucket/p", "OODGUARD_SAMPLE_TO is s3:/bucket/p, expected a folder or s3://BUCKET"),
        ("s3:bucket", "OODGUARD_SAMPLE_TO is s3:bucket, expected a folder or s3://BUCKET"),
        ("S3://bucket", "OODGUARD_SAMPLE_TO is S3://bucket, expected a folder or s3://BUCKET"),
        ("file:/tmp/p", "OODGUARD_SAMPLE_TO is file:/tmp/p, expected a folder or s3://BUCKET"),
        ("s3://", "OODGUARD_SAMPLE_TO is s3://, which names no bucket, expected a folder or s3"),
        ("s3:///p", "OODGUARD_SAMPLE_TO is s3:///p, which names no bucket, expected a folder"),
    ],
)
def test_sampler_rejects_an_invalid_location(to: str | None, message: str) -> None:
    with pytest.raises(SamplingError) as rejected:
        sampler_from(Settings(sample_rate=0.5, sample_to=to), CollectorRegistry())
    assert str(rejected.value).startswith(message)


def test_sampler_names_extra_of_s3_if_obstore_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*sys.modules]:
        if name.startswith(("oodguard.service.sampling.s3_store", "obstore")):
            monkeypatch.delitem(sys.modules, name)
    # The import system treats None as a missing module.
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(SamplingError, match=r"requires obstore.* install -e '\.\[s3\]'"):
        sampler_from(Settings(sample_rate=1, sample_to="s3://samples"), CollectorRegistry())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sample_rate", -0.1),
        ("sample_rate", 1.1),
        ("sample_rate", float("nan")),
        ("sample_accept_rate", 1.1),
        ("sample_to", ""),
        ("sample_max_bytes", 0),
        ("sample_max_images", 0),
        ("sample_max_days", 0),
    ],
)
def test_sampling_settings_reject_invalid_values(field: str, value: object) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({field: value})
