"""Errors as a person sees them: what is wrong, what to do, and whether to repeat."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.browser.conftest import OpenPage
from tests.browser.services import SHIP, STANDARD, Service, serving

pytest.importorskip("playwright")
from playwright.sync_api import expect

from tests.browser.playground import decision, example, expect_decisions, message, usable

pytestmark = pytest.mark.slow

MAX_BODY_BYTES = 3_000_000


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("limited")
    limits = {"max_body_bytes": MAX_BODY_BYTES, "max_pixels": 100_000, "max_images": 8}
    with serving(folder, **limits) as running:
        yield running


def choose(page: Any, name: str, content: bytes) -> None:
    """Choose a file; the page sends PNG as the type of each that is not JPEG or WebP."""
    page.get_by_label("Choose a picture").set_input_files(
        files=[{"name": name, "mimeType": "", "buffer": content}]
    )


def expect_final(page: Any, text: str) -> None:
    """Wait for an error that the same request would cause again."""
    expect(message(page)).to_contain_text(text)
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)
    expect(decision(page, STANDARD)).to_have_text("no verdict")


# The service refuses a body by its length, before it has read it, and closes the connection.
@pytest.mark.parametrize("size", [MAX_BODY_BYTES + 1, 12 * MAX_BODY_BYTES])
def test_playground_states_that_a_file_is_too_large(
    open_page: OpenPage, limited: Service, tmp_path: Path, size: int
) -> None:
    page = open_page(limited.url, expected="status of 413|net::ERR_")
    usable(page)
    (tmp_path / "large.png").write_bytes(SHIP.read_bytes() + bytes(size))
    page.get_by_label("Choose a picture").set_input_files(tmp_path / "large.png")
    expect_final(page, "The file is too large")
    page.get_by_label("Choose a picture").set_input_files(SHIP)
    expect_decisions(page, aloe="Accept", standard="Accept")
    expect(message(page)).to_be_hidden()


def test_playground_states_that_a_picture_has_too_many_pixels(
    open_page: OpenPage, limited: Service, tmp_path: Path
) -> None:
    page = open_page(limited.url, expected="status of 413")
    usable(page)
    Image.new("RGB", (400, 300)).save(tmp_path / "wide.png")
    page.get_by_label("Choose a picture").set_input_files(tmp_path / "wide.png")
    expect_final(page, "The picture has too many pixels")
    expect(message(page)).to_contain_text("120")


def test_playground_explains_within_the_limits_of_a_request(
    open_page: OpenPage, limited: Service
) -> None:
    page = open_page(limited.url)
    usable(page)
    example(page, "A texture").click()
    expect_decisions(page, aloe="Reject", standard="Reject")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.headers.get("x-shape", "")))
    page.get_by_role("button", name="Why?").first.click()
    expect(page.locator(".why").first).to_contain_text("the score falls by")
    # 64 covered copies and the picture itself, 8 in a request.
    assert [each for each in sent if each] == ["8,32,32,3"] * 8 + ["1,32,32,3"]


def test_playground_states_that_a_file_has_changed(
    open_page: OpenPage, service: Service, tmp_path: Path
) -> None:
    """The browser refuses to send it, as it does a folder: the service is not the cause."""
    page = open_page(service.url, expected="net::ERR_(UPLOAD_FILE_CHANGED|FILE_NOT_FOUND)")
    usable(page)
    file = tmp_path / "ship.png"
    file.write_bytes(SHIP.read_bytes())
    page.get_by_label("Choose a picture").set_input_files(file)
    expect_decisions(page, aloe="Accept", standard="Accept")
    file.unlink()
    page.get_by_role("checkbox", name=STANDARD).uncheck()
    page.get_by_role("checkbox", name=STANDARD).check()
    expect_final(page, "The file cannot be read")


def test_playground_states_that_a_drop_has_no_file(open_page: OpenPage, service: Service) -> None:
    page = open_page(service.url)
    usable(page)
    page.evaluate(
        """() => {
          const dataTransfer = new DataTransfer();
          dataTransfer.setData("text/uri-list", "https://pictures.example/a.png");
          document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
        }"""
    )
    expect(message(page)).to_contain_text("This is no file")


@pytest.mark.parametrize(
    ("name", "content", "title"),
    [
        ("notes.txt", b"no picture", "This is not a picture that can be read"),
        ("cut.png", SHIP.read_bytes()[:200], "This is not a picture that can be read"),
        ("empty.png", b"", "This is not a picture that can be read"),
        (
            "vector.svg",
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            "This kind of picture is not supported",
        ),
    ],
)
def test_playground_states_that_a_file_is_no_picture(
    open_page: OpenPage, service: Service, name: str, content: bytes, title: str
) -> None:
    page = open_page(service.url, expected="status of 4(00|15)")
    usable(page)
    choose(page, name, content)
    expect_final(page, title)
    expect(message(page)).not_to_contain_text("image 0")
    page.get_by_role("button", name="Close the message").click()
    expect(message(page)).to_be_hidden()


@pytest.mark.parametrize(
    ("status", "slug", "text"),
    [
        (503, "not-ready", "The service is starting or shutting down"),
        (429, "overloaded", "The service is busy"),
        (504, "deadline-exceeded", "The service took too long"),
        (500, "internal-error", "The service failed"),
        (502, None, "The service is starting or shutting down"),
        (429, None, "The service is busy"),
        (401, None, "A proxy may have answered, with the status 401."),
        (200, None, "The response is not one of the service"),
    ],
)
def test_playground_repeats_a_request_that_may_succeed(
    open_page: OpenPage, service: Service, status: int, slug: str | None, text: str
) -> None:
    page = open_page(service.url, expected=f"status of {status}")
    usable(page)
    # A proxy returns a page of its own.
    problem = json.dumps({"type": f"/problems/{slug}", "detail": "DETAIL"}) if slug else "<html>"
    page.route("**/predict", lambda route: route.fulfill(status=status, body=problem))
    example(page, "A ship").click()
    expect(message(page)).to_contain_text(text)
    expect(decision(page, STANDARD)).to_have_text("no verdict")
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    expect_decisions(page, aloe="Accept", standard="Accept")
    expect(message(page)).to_be_hidden()


@pytest.mark.parametrize(
    ("retry_after", "text"),
    [("60", r"^Try again in \d\d s$"), ("1200", "in 20 minutes$"), ("400000", "in 112 hours$")],
)
def test_playground_waits_as_long_as_the_service_asks(
    open_page: OpenPage, service: Service, retry_after: str, text: str
) -> None:
    page = open_page(service.url, expected="status of 429")
    usable(page)
    headers = {"Retry-After": retry_after}
    page.route("**/predict", lambda route: route.fulfill(status=429, headers=headers))
    example(page, "A ship").click()
    button = page.get_by_role("button", name="Try again")
    expect(button).to_have_text(re.compile(text))
    expect(button).to_be_disabled()
