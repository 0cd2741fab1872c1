"""What is wrong with a value, in words."""

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from lora_api.egress import Egress
from lora_api.runtime_api import Desired, ResolveRequest
from lora_api.v1alpha1.adapter import LoRAAdapter, LoRAAdapterSpec
from lora_api.v1alpha1.common import ObjectName
from lora_api.v1alpha1.model import LoRAModel
from lora_api.wrong_values import FORMS, in_words


def patterns(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(found := schema.get("pattern"), str):
            yield found
        for value in schema.values():
            yield from patterns(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from patterns(value)


def wrong(kind: Any, value: Any) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    return caught.value


@pytest.mark.parametrize("kind", [LoRAAdapter, LoRAModel, Egress, Desired, ResolveRequest])
def test_every_form_that_is_asked_for_has_words(kind: type[BaseModel]) -> None:
    assert set(patterns(kind.model_json_schema())) <= set(FORMS)


def test_a_form_is_said_in_words_and_where() -> None:
    said = in_words(wrong(LoRAAdapterSpec, {"modelRef": {"name": "A b"}, "weight": 11}), "spec")
    assert "spec.modelRef.name: must be lower-case letters" in said
    assert "spec.weight: Input should be less than or equal to 10" in said
    assert "^" not in said


def test_a_value_that_is_no_part_of_another_has_no_place() -> None:
    assert in_words(wrong(ObjectName, "A")).startswith("must be lower-case")


def test_a_pattern_that_lists_words_lists_them_in_words_too() -> None:
    assert in_words(wrong(Annotated[str, Field(pattern="^(A|B)$")], "C")) == "must be one of A, B"
    assert "^" not in in_words(wrong(Annotated[str, Field(pattern="^x+$")], "C"))


def test_only_the_first_few_are_named() -> None:
    assert in_words(wrong(list[int], ["x"] * 9)).count(";") == 4
