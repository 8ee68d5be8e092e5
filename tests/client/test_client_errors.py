import inspect
import pickle
import re
from pathlib import Path

import pytest

from oodguard.client import errors
from oodguard.client.errors import (
    BODY_TOO_LARGE,
    IMAGE_PROBLEMS,
    PROBLEMS,
    ClientError,
    ImageProblemError,
    InvalidImageError,
    ProblemError,
    ProblemFields,
    ResponseTimeoutError,
)
from oodguard.models.errors import ImageError
from oodguard.service.api import problem_types

ROOT = Path(__file__).parents[2]
CLASSES = {name: each for name, each in vars(errors).items() if inspect.isclass(each)}
ERRORS = {name: each for name, each in CLASSES.items() if issubclass(each, ClientError)}


def statuses() -> dict[str, int]:
    """Return the status of every problem that the service names, by the end of its type."""
    single = [
        each for each in vars(problem_types).values() if isinstance(each, problem_types.ProblemType)
    ]
    return {each.slug: each.status for each in [*problem_types.PROBLEM_TYPES.values(), *single]}


def test_client_errors_have_a_class_for_every_problem_of_the_service() -> None:
    assert len(statuses()) == 23
    assert set(statuses()) == {*PROBLEMS, *IMAGE_PROBLEMS}
    documented = (ROOT / "docs" / "http-api.md").read_text().partition("\n## Problems")[2]
    assert set(re.findall(r"^### ([\w-]+)$", documented, re.MULTILINE)) == set(statuses())


def test_client_errors_have_the_names_of_the_statuses() -> None:
    for slug, error in {**PROBLEMS, **IMAGE_PROBLEMS}.items():
        name = "".join(word.capitalize() for word in slug.split("-"))
        assert error.__name__ == name.removesuffix("Error") + "Error"


def test_client_errors_of_images_are_the_problems_that_concern_one_image() -> None:
    of_images = {
        each.slug
        for error, each in problem_types.PROBLEM_TYPES.items()
        if issubclass(error, ImageError)
    }
    assert set(IMAGE_PROBLEMS) == of_images
    assert BODY_TOO_LARGE in statuses()


def test_client_errors_module_shows_the_tree_of_its_classes() -> None:
    tree = errors.__doc__ or ""
    lines = re.findall(r"^    ([|` -]*)(\w+Error)(?: +(\d{3}))?", tree, re.MULTILINE)
    shown = {name: status for _, name, status in lines}
    assert set(shown) == set(ERRORS) - {ImageProblemError.__name__}
    for slug, status in statuses().items():
        assert shown[{**PROBLEMS, **IMAGE_PROBLEMS}[slug].__name__] == str(status)
    path: list[str] = []
    for prefix, name, _ in lines:
        path[len(prefix) // 3 :] = [name]
        parent = path[-2] if len(path) > 1 else "Exception"
        assert parent in [each.__name__ for each in ERRORS[name].__mro__], name


@pytest.mark.parametrize("error", [*IMAGE_PROBLEMS.values(), errors.ImageBodyTooLargeError])
def test_image_problem_error_names_the_image_of_the_caller(
    error: type[ImageProblemError],
) -> None:
    fields = ProblemFields(
        type="/problems/x",
        title="Bad request",
        status=400,
        detail="image 2: the 3 bytes are not an image, expected a JPEG",
        request_id="r",
        image_index=2,
    )
    raised = error(fields, index=66, name="cats/66.png")
    assert isinstance(raised, InvalidImageError)
    assert isinstance(raised, ProblemError)
    assert str(raised) == ("cats/66.png: the 3 bytes are not an image, expected a JPEG (request r)")
    assert (raised.index, raised.name, raised.problem) == (66, "cats/66.png", fields)


def test_client_errors_can_be_pickled() -> None:
    """A process pool whose worker raises one would break otherwise."""
    problem = ProblemFields(type="t", title="t", status=400, detail="d", request_id="r")
    for error in (
        errors.UnreadableImageError("m", index=1, name="n"),
        errors.UnexpectedResponseError("m", status=400),
        errors.RateLimitedError(problem),
        errors.ImageBodyTooLargeError(problem, index=1, name="n"),
    ):
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - made here
        assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


def test_deadline_problem_is_a_response_timeout() -> None:
    assert issubclass(PROBLEMS["deadline-exceeded"], ResponseTimeoutError)
