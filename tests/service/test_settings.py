"""Settings are read from the environment, validated, and documented."""

from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from oodguard.service.cli import app
from oodguard.service.settings import Settings, default_bundle, describe, unknown_variables


def test_setting_is_read_from_its_variable_and_an_argument_overrides_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OODGUARD_ALPHA", "0.01")
    monkeypatch.setenv("OODGUARD_PORT", "9")
    settings = Settings(port=10)
    assert settings.alpha == 0.01
    assert settings.port == 10


def test_setting_none_is_no_value_and_empty_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OODGUARD_DELTA", "none")
    monkeypatch.setenv("OODGUARD_SCORE", "")
    settings = Settings()
    assert settings.delta is None
    assert settings.score is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALPHA", "0"),
        ("ALPHA", "1"),
        ("ALPHA", "nan"),
        ("DELTA", "2"),
        ("PORT", "tcp://10.0.0.1:8000"),
        ("MAX_PIXELS", "89478486"),
        ("TIMEOUT_S", "inf"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("ROOT_PATH", "guard"),
        ("ROOT_PATH", "/guard/"),
        ("ROOT_PATH", "//evil.example"),
        ("ROOT_PATH", "/guard?x"),
        ("TRUSTED_PROXIES", "proxy.example"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,,10.0.0.1"),
        ("TRUSTED_PROXIES", "*"),
    ],
)
def test_setting_rejects_an_invalid_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"OODGUARD_{name}", value)
    with pytest.raises(ValidationError):
        Settings()


def test_setting_of_trusted_proxies_is_a_list_of_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OODGUARD_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.1,2001:db8::/32")
    networks = ("10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32")
    assert Settings().trusted_proxies == tuple(map(ip_network, networks))
    monkeypatch.setenv("OODGUARD_TRUSTED_PROXIES", "none")
    assert Settings().trusted_proxies is None
    monkeypatch.setenv("OODGUARD_TRUSTED_PROXIES", "10.0.0.1/8")
    result = CliRunner().invoke(app, ["predict", "a.png"])
    assert "OODGUARD_TRUSTED_PROXIES: 10.0.0.1/8 has host bits set, expected" in result.output


def test_unknown_variable_is_reported() -> None:
    environment = {"OODGUARD_ALHPA": "0.01", "OODGUARD_ALPHA": "0.01", "HOME": "/"}
    assert unknown_variables(environment) == ["OODGUARD_ALHPA"]


def test_default_bundle_is_next_to_the_installed_package() -> None:

    from oodguard import models  # noqa: PLC0415

    assert models.__file__ is not None
    assert default_bundle() == Path(models.__file__).parent / "pretrained" / "cifar10-aloe"


def test_serve_help_lists_every_setting_with_its_default_and_meaning() -> None:
    result = CliRunner().invoke(app, ["serve", "--help"], env={"COLUMNS": "200"})
    text = " ".join(result.output.split())
    for name, default, meaning in describe():
        assert f"{name} {meaning} [{default}]" in text
