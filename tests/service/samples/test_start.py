"""A place that cannot be had is refused at start, with the way out."""

import sys

import pytest
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from oodguard.service.errors import SamplingError
from oodguard.service.sampling.sampler import sampler_from
from oodguard.service.settings import Settings


@pytest.mark.parametrize(
    ("to", "said"),
    [
        (None, "OODGUARD_SAMPLE_RATE is 0.5 and OODGUARD_SAMPLE_TO names no place"),
        ("gs://looks/guard", "OODGUARD_SAMPLE_TO=gs://looks/guard came"),
        ("/proc/looks", "samples cannot be kept in /proc/looks"),
        ("s3://", "samples cannot be kept in s3://"),
    ],
)
def test_a_rate_without_a_place_for_it_is_refused(to: str | None, said: str) -> None:
    with pytest.raises(SamplingError) as refused:
        sampler_from(Settings(sample_rate=0.5, sample_to=to), CollectorRegistry())
    assert str(refused.value).startswith(said)


def test_a_bucket_without_its_package_is_refused_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [*sys.modules]:
        if name.startswith(("oodguard.service.sampling.s3_store", "obstore")):
            monkeypatch.delitem(sys.modules, name)
    # How the import system says that there is no such module.
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(SamplingError, match=r"wants obstore.* install ood-guard\[s3\]"):
        sampler_from(Settings(sample_rate=1, sample_to="s3://looks"), CollectorRegistry())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sample_rate", -0.1),
        ("sample_rate", 1.1),
        ("sample_rate", float("nan")),
        ("sample_to", ""),
        ("sample_max_bytes", 0),
        ("sample_max_images", 0),
        ("sample_max_days", 0),
    ],
)
def test_a_setting_that_means_nothing_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({field: value})
