import pytest

from oodguard.models.errors import BundleError
from oodguard.models.evaluation_file import decode, encode


def test_figures_survive_the_way_through_the_file() -> None:
    figures = {"accuracy": 0.1 + 0.2, "sets": {"textures": [1, None, "a"]}}
    assert decode(encode(figures)) == figures


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}])
def test_what_json_has_no_word_for_is_not_written(value: object) -> None:
    with pytest.raises(BundleError, match="cannot be written as JSON"):
        encode({"figure": value})


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": NaN}', b'{"a": -Infinity}', b"\xff"])
def test_what_is_not_json_is_refused(content: bytes) -> None:
    with pytest.raises(BundleError, match=r"evaluation\.json is not JSON"):
        decode(content)


def test_json_that_is_no_object_is_refused() -> None:
    with pytest.raises(BundleError, match="holds a str; wanted an object"):
        decode(b'"figures"')
