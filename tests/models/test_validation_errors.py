import json
import re
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from oodguard.models.manifest import BundleName, Manifest
from oodguard.models.records import FileRecord
from oodguard.models.validation_errors import PATTERNS, describe_error
from oodguard.service.auth.keys import Key
from oodguard.service.settings import Settings
from oodguard.training.config.recipe import Recipe


class Part(BaseModel):
    size: int = Field(default=1, ge=1, le=64)


class Fields(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(default="a", pattern="^[a-z]+$", max_length=8)
    title: str = Field(default="a", min_length=1)
    share: float = Field(default=0.5, gt=0, lt=1)
    ratio: float = Field(default=0.5, ge=0.25, allow_inf_nan=False)
    enabled: bool = False
    kind: Literal["full", "short"] = "full"
    items: list[int] = Field(default=[1], min_length=1, max_length=2)
    part: Part = Part()

    @field_validator("name")
    @classmethod
    def _is_free(cls, name: str) -> str:
        if name == "taken":
            raise ValueError("expected a free name")
        return name


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"share": "7"}, "share is '7', expected a number less than 1"),
        ({"share": 0}, "share is 0, expected a number greater than 0"),
        ({"ratio": 0.1}, "ratio is 0.1, expected at least 0.25"),
        ({"ratio": "nan"}, "ratio is 'nan', expected a finite number"),
        ({"share": "x"}, "share is 'x', expected a number"),
        ({"share": []}, "share is [], expected a number"),
        ({"share": None}, "share is null, expected a number"),
        ({"part": {"size": 65}}, "part.size is 65, expected at most 64"),
        ({"part": {"size": "x"}}, "part.size is 'x', expected a whole number"),
        ({"part": {"size": 1.5}}, "part.size is 1.5, expected a whole number"),
        ({"part": 3}, "part is 3, expected a table"),
        ({"enabled": "perhaps"}, "enabled is 'perhaps', expected true or false"),
        ({"kind": "long"}, "kind is 'long', expected 'full' or 'short'"),
        ({"name": "A"}, "name is 'A', expected a string that matches ^[a-z]+$"),
        ({"name": "abcdefghi"}, "name is 'abcdefghi', expected at most 8 characters"),
        ({"name": 3}, "name is 3, expected a string"),
        ({"name": "taken"}, "name: expected a free name"),
        ({"title": ""}, "title is '', expected a string with a length of at least 1"),
        ({"items": []}, "items is [], expected a length of at least 1"),
        ({"items": [1, 2, 3]}, "items is [1, 2, 3], expected a length of at most 2"),
        ({"items": [1, "x"]}, "items[1] is 'x', expected a whole number"),
        ({"items": 3}, "items is 3, expected an array"),
        ({"shaer": 1}, "shaer is not a known key"),
    ],
)
def test_validation_error_states_the_received_and_the_expected_value(
    fields: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError) as raised:
        Fields.model_validate(fields)
    (error,) = raised.value.errors()
    assert describe_error(error, mapping="table") == message


def test_validation_error_hides_a_secret_and_accepts_another_name() -> None:
    with pytest.raises(ValidationError) as raised:
        Fields.model_validate({"name": "S3CRET"})
    (error,) = raised.value.errors()
    assert describe_error(error, received=False) == "name: expected a string that matches ^[a-z]+$"
    assert describe_error(error, "NAME").startswith("NAME is 'S3CRET', expected ")


def test_validation_error_names_a_missing_key() -> None:
    class Required(BaseModel):
        key: int

    with pytest.raises(ValidationError) as raised:
        Required.model_validate({})
    (error,) = raised.value.errors()
    assert describe_error(error) == "key is missing"


@pytest.mark.parametrize("model", [Manifest, FileRecord, Key, Recipe, Settings])
def test_regular_expressions_of_fields_are_described_in_words(model: type[BaseModel]) -> None:
    schema = json.dumps(model.model_json_schema())
    found = re.findall(r'"pattern": ("(?:[^"\\]|\\.)*")', schema)
    assert found
    assert {json.loads(each) for each in found} <= set(PATTERNS)


def test_validation_error_describes_a_name_in_words() -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(BundleName).validate_python("My model")
    assert describe_error(caught.value.errors()[0], "name") == (
        "name is 'My model', expected 1 to 64 lower-case letters, digits and hyphens, the first no"
        " hyphen"
    )


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ('{"size": 1', "the part is not valid JSON: a syntax error in line 1, column 10"),
        ('{"size":\n x}', "the part is not valid JSON: a syntax error in line 2, column 2"),
    ],
)
def test_json_syntax_error_has_the_place_and_no_text_of_the_parser(
    document: str, message: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        Part.model_validate_json(document)
    assert describe_error(caught.value.errors()[0], "the part") == message
