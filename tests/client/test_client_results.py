"""The results have every field of the service's schemas; unknown ones are ignored."""

import pytest
from pydantic import BaseModel, ValidationError

from oodguard.client import results
from oodguard.models.class_rejections import ClassRejections
from oodguard.models.manifest import InputSpec
from oodguard.service.api import schemas


@pytest.mark.parametrize(
    ("result", "schema"),
    [
        (results.AnsweringModel, schemas.ModelIdentity),
        (results.ServedPolicy, schemas.PolicyShape),
        (results.RejectionReason, schemas.ReasonShape),
        (results.ServedClass, schemas.ClassFacts),
        (results.ServedModel, schemas.ModelFacts),
        (results.ShadowModel, schemas.ShadowFacts),
        (results.ServedModels, schemas.ModelsResponse),
        (results.ModelInput, InputSpec),
    ],
)
def test_client_result_has_the_fields_of_the_schema(
    result: type[BaseModel], schema: type[BaseModel]
) -> None:
    assert set(result.model_fields) == set(schema.model_fields)
    optional = {name for name, each in schema.model_fields.items() if not each.is_required()}
    if schema is not InputSpec:  # the service sends its defaults
        assert not any(result.model_fields[name].is_required() for name in optional)


def test_client_result_of_an_image_has_every_field_of_the_response() -> None:
    answer = set(schemas.PredictResponse.model_fields) - {"predictions"}
    expected = {"index", "name", "detail"} | answer | set(schemas.Prediction.model_fields)
    assert set(results.ImageResult.model_fields) == expected
    assert set(ClassRejections.__annotations__) == set(results.ServedClass.model_fields)


def test_client_results_are_frozen_and_ignore_fields_of_a_newer_service() -> None:
    shadow = results.ShadowModel.model_validate(
        {"name": "a", "version": "1", "share": 0.5, "added_later": [1]}
    )
    assert shadow == results.ShadowModel(name="a", version="1", share=0.5)
    with pytest.raises(ValidationError, match="frozen"):
        shadow.name = "b"  # type: ignore[misc]
