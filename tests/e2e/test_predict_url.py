"""`oodguard predict --url` against a running server."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest
from typer.testing import CliRunner, Result

from benchmarks.serving.processes import free_port
from oodguard.client import (
    ClientError,
    DeadlineExceededError,
    InternalError,
    NotReadyError,
    OverloadedError,
    ProblemFields,
    RateLimitedError,
    ResponseTimeoutError,
    ServiceUnreachableError,
    UnexpectedResponseError,
)
from oodguard.command_line.exit_codes import ExitCode
from oodguard.service import predict_url
from oodguard.service.cli import app
from tests.e2e.conftest import (
    RunningServer,
    environment,
    serving,
)
from tests.service.api_keys import IssuedKey, write_key_file
from tests.service.pictures import RED, encode, plain


def oodguard(*arguments: object, **variables: str) -> Result:
    words = [str(argument) for argument in arguments]
    return CliRunner().invoke(app, words, env={"COLUMNS": "200", **variables})


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "photos" / "red.png", tmp_path / "photos" / "sub" / "white.jpg"]
    paths[1].parent.mkdir(parents=True)
    paths[0].write_bytes(encode(plain(RED)))
    paths[1].write_bytes(encode(plain((255, 255, 255)), "JPEG"))
    return paths


@pytest.mark.parametrize("options", [["--json"], [], ["--fdr", "0.9", "--json"]])
def test_predict_command_prints_the_same_with_and_without_a_server(
    shared_server: RunningServer, pictures: list[Path], options: list[str]
) -> None:
    # Another image each time: the service would recognize a repeated one, the command does not.
    pictures[1].write_bytes(encode(plain((255, 255, 255 - len(options)))))
    (pictures[0].parent / "text.png").write_text("no image")
    missing = pictures[0].parent / "missing.png"
    images = [f"{pictures[0].parent}/*.png", missing, pictures[1].parent]
    local = oodguard("predict", *images, *options, "--bundle", shared_server.bundle)
    remote = oodguard("predict", *images, *options, "--url", shared_server.url)
    assert remote.stdout == local.stdout
    assert sorted(remote.stderr.splitlines()) == sorted(local.stderr.splitlines())
    assert remote.exit_code == local.exit_code == 1
    assert oodguard("predict", pictures[0], "--url", shared_server.url).exit_code == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "other"], "the model 'other' is not served, expected one of: tiny"),
        (["--model", "tiny@7"], "tiny"),
        (["--fdr", "x"], '--fdr is "x", expected a number above 0 and below 1'),
        (["--key-file", "/no"], "--key-file: /no: No such file"),
        (["--key-file", "/"], "--key-file: / is a folder, expected a regular file"),
    ],
)
def test_predict_command_with_a_server_states_an_error_in_one_line(
    shared_server: RunningServer, pictures: list[Path], options: list[str], message: str
) -> None:
    result = oodguard("predict", pictures[0], "--url", shared_server.url, *options)
    expected = ExitCode.USAGE if "--fdr" in options else ExitCode.INVALID
    assert (result.exit_code, result.stdout) == (expected, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("oodguard: ")
    assert message in line


def test_predict_command_without_a_file_that_can_be_sent(
    shared_server: RunningServer, tmp_path: Path
) -> None:
    result = oodguard("predict", tmp_path, "--json", "--url", shared_server.url)
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"model": None, "policy": None, "predictions": []}
    assert f"{tmp_path}: the path is a folder" in result.stderr


@pytest.mark.parametrize(
    ("options", "variables"),
    [
        (["--url", "localhost"], {}),
        (["--url", "http://localhost", "--model", ".."], {}),
        (["--url", "http://localhost"], {"OODGUARD_CLIENT_KEY": "two words"}),
        (["--url", "http://localhost"], {"HTTP_PROXY": "ftp://proxy"}),
    ],
)
def test_predict_command_with_an_invalid_option_for_a_server_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch, options: list[str], variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    result = oodguard("predict", "a.png", *options)
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    assert len(result.stderr.splitlines()) == 1


def test_predict_command_with_a_server_shows_the_time_left(
    shared_server: RunningServer, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oodguard.command_line.progress.FIRST_LINE_S", 0)
    result = oodguard("predict", *pictures, "missing.png", "--url", shared_server.url)
    assert result.exit_code == ExitCode.INVALID
    assert "oodguard: predicting: 1 of 3 images, about 1 s left\n" in result.stderr


PROBLEM = ProblemFields(type="t", title="t", status=500, detail="DETAIL", request_id="r")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ServiceUnreachableError("DETAIL"), ExitCode.UNREACHABLE),
        (ResponseTimeoutError("DETAIL"), ExitCode.UNREACHABLE),
        (DeadlineExceededError(PROBLEM), ExitCode.UNREACHABLE),
        (NotReadyError(PROBLEM), ExitCode.UNREACHABLE),
        (OverloadedError(PROBLEM), ExitCode.UNREACHABLE),
        (RateLimitedError(PROBLEM), ExitCode.UNREACHABLE),
        (InternalError(PROBLEM), ExitCode.INVALID),
        (UnexpectedResponseError("DETAIL", status=502), ExitCode.INVALID),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, ClientError) else "",
)
def test_predict_command_has_an_exit_code_for_a_service_that_may_answer_later(
    pictures: list[Path], monkeypatch: pytest.MonkeyPatch, error: ClientError, code: ExitCode
) -> None:
    async def fail(*_: object, **__: object) -> NoReturn:
        raise error

    monkeypatch.setattr("oodguard.service.predict_url._predict", fail)
    result = oodguard("predict", pictures[0], "--url", "http://localhost:1")
    assert (result.exit_code, result.stdout) == (code, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("oodguard: DETAIL")


def test_predict_command_reports_that_it_waits_for_a_service(
    pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict_url, "PATIENCE_S", 0.05)
    monkeypatch.setattr(predict_url, "DEADLINE_S", 0.5)
    url = f"http://127.0.0.1:{free_port()}"
    result = oodguard("predict", pictures[0], "--url", url)
    assert (result.exit_code, result.stdout) == (ExitCode.UNREACHABLE, "")
    waiting, failed = result.stderr.splitlines()
    assert waiting.startswith(f"oodguard: warning: {url} does not accept requests")
    assert failed.startswith("oodguard: ")


@pytest.mark.slow
@pytest.mark.parametrize("module", ["httpx2", "onnxruntime"])
def test_predict_command_with_a_server_requires_the_extra_of_the_client_only(
    shared_server: RunningServer, pictures: list[Path], module: str
) -> None:
    code = (
        f"import sys; sys.modules[{module!r}] = None; from oodguard.service.cli import app; app()"
    )
    command = [sys.executable, "-c", code, "predict", str(pictures[0]), "--url", shared_server.url]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    if module == "onnxruntime":
        assert (done.returncode, done.stderr) == (0, "")
    else:
        assert (done.returncode, done.stdout) == (ExitCode.UNAVAILABLE, "")
        assert done.stderr == (
            "oodguard: --url: oodguard.client requires httpx2, which is not installed. Install the"
            " \"client\" extra: pip install -e '.[client]' in the clone of OOD Guard\n"
        )


@pytest.mark.slow
def test_predict_command_sends_its_key_from_a_file_or_a_variable(
    tiny_bundle: Path, tmp_path: Path, pictures: list[Path]
) -> None:
    issued = IssuedKey.create("predict", key_id="a")
    keys = write_key_file(tmp_path / "keys.toml", issued)
    secret = tmp_path / "key"
    secret.write_text(f"{issued.token}\n")
    settings = {"OODGUARD_KEYS_FILE": keys, "OODGUARD_MAX_IMAGES": 1}
    with serving(tiny_bundle, tmp_path / "log", settings) as server:
        command = ["predict", pictures[0], "--url", server.url]
        together = [*command, pictures[1], "--fdr", "0.9", "--key-file", secret]
        assert oodguard(*together).stderr.endswith(
            ". Decide about so many images without --url, or with `oodguard score --fdr`\n"
        )
        missing = oodguard(*command).stderr
        assert "missing API key" in missing
        assert missing.endswith(". Give the key with --key-file or in OODGUARD_CLIENT_KEY\n")
        assert oodguard(*command, "--key-file", secret).exit_code == 0
        result = oodguard(*command, OODGUARD_CLIENT_KEY=issued.token)
        assert (result.exit_code, result.stderr) == (0, "")
        secret.write_text("two\nlines")
        result = oodguard(*command, "--key-file", secret)
        assert result.exit_code == ExitCode.USAGE
        assert "the API key has 9 characters" in result.stderr
        assert "two" not in result.stderr
