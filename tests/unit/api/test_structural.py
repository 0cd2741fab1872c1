"""Each rewrite from pydantic's JSON schema to a structural schema."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, create_model

from lora_api.structural import NotStructural, Schema, structural, with_words, without_defaults
from lora_api.v1alpha1.common import cel


class Inner(BaseModel):
    """First line.

    More, for readers of the source.
    """

    size: int = Field(default=1, ge=0, le=9)
    name: str | None = None


def field_of(annotation: Any, field: Any = ...) -> Schema:
    """The structural schema of one field of that type."""
    holder = create_model("Holder", field=(annotation, field))
    result: Schema = structural(holder.model_json_schema())["properties"]["field"]
    return result


def test_references_are_inlined_and_titles_dropped() -> None:
    assert field_of(Inner) == {
        "description": "First line.",
        "type": "object",
        "properties": {
            "size": {"type": "integer", "default": 1, "minimum": 0, "maximum": 9, "format": "int32"},
            "name": {"type": "string"},
        },
    }


def test_a_fields_description_wins_over_its_types() -> None:
    assert field_of(Inner, Field(description="The one.")) == field_of(Inner) | {"description": "The one."}


def test_an_optional_field_may_be_absent_but_is_never_null() -> None:
    assert field_of(str | None, None) == {"type": "string"}
    assert field_of(Inner | None, None) == field_of(Inner)


def test_a_default_object_is_stored_without_its_unset_fields() -> None:
    assert field_of(Inner, Inner(size=3))["default"] == {"size": 3}


def test_a_literal_becomes_an_enum() -> None:
    assert field_of(Literal["v1"]) == {"type": "string", "enum": ["v1"]}


def test_an_exclusive_bound_of_an_integer_becomes_its_neighbour() -> None:
    assert field_of(int, Field(gt=0, lt=10)) == {"type": "integer", "minimum": 1, "maximum": 9, "format": "int32"}


def test_an_exclusive_bound_of_a_number_becomes_a_flag() -> None:
    assert field_of(float, Field(gt=0)) == {"type": "number", "minimum": 0, "exclusiveMinimum": True}


@pytest.mark.parametrize(
    ("field", "width"),
    [(Field(le=100), "int32"), (Field(ge=0), "int64"), (Field(le=2**40), "int64")],
)
def test_an_integer_is_as_wide_as_its_upper_bound(field: Any, width: str) -> None:
    assert field_of(int, field)["format"] == width


def test_a_format_that_is_given_stays() -> None:
    assert field_of(int, Field(le=1, json_schema_extra={"format": "int64"}))["format"] == "int64"


def test_a_tuple_of_one_kind_is_an_array_and_a_set_is_a_list_of_type_set() -> None:
    assert field_of(tuple[str, ...], Field(max_length=2)) == {
        "type": "array",
        "items": {"type": "string"},
        "maxItems": 2,
    }
    assert field_of(set[str]) == {
        "type": "array",
        "items": {"type": "string"},
        "x-kubernetes-list-type": "set",
    }


def test_the_rules_of_a_type_and_of_its_field_both_hold() -> None:
    class Ruled(BaseModel):
        model_config = ConfigDict(json_schema_extra=cel(("of the type", "a")))

    both = cel(("of the type", "a"), ("of the field", "b"))["x-kubernetes-validations"]

    assert field_of(Ruled, Field(json_schema_extra=cel(("of the field", "b"))))["x-kubernetes-validations"] == both
    optional = field_of(Ruled | None, Field(default=None, json_schema_extra=cel(("of the field", "b"))))
    assert optional["x-kubernetes-validations"] == both


def test_an_open_object_keeps_unknown_fields() -> None:
    extra: dict[str, Any] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}

    assert field_of(dict[str, Any], Field(default_factory=dict, json_schema_extra=extra)) == extra


@pytest.mark.parametrize(
    "annotation",
    [int | str, Inner | str | None, tuple[int, str], dict[str, str], Annotated[list[int | str], Field(max_length=1)]],
)
def test_what_has_no_structural_form_is_refused_by_its_path(annotation: Any) -> None:
    with pytest.raises(NotStructural, match=r"^\.field"):
        field_of(annotation)


def test_a_status_has_no_defaults_at_any_depth() -> None:
    class Status(BaseModel):
        inner: Inner = Inner()
        inners: list[Inner] = []

    assert "default" not in str(without_defaults(structural(Status.model_json_schema())))


def test_a_pattern_that_has_words_is_a_rule_before_the_others_at_any_depth() -> None:
    class Told(BaseModel):
        name: Annotated[str, Field(pattern="^a+$", json_schema_extra=cel(("self != 'aa'", "must not be aa")))] = "a"
        others: list[Annotated[str, Field(pattern="^b$")]] = []

    fields = with_words(structural(Told.model_json_schema()), {"^a+$": "some a's"})["properties"]

    assert "pattern" not in fields["name"]
    assert fields["name"]["x-kubernetes-validations"] == [
        {"rule": "self.matches(r'^a+$')", "message": "must be some a's"},
        {"rule": "self != 'aa'", "message": "must not be aa"},
    ]
    assert fields["others"]["items"]["pattern"] == "^b$"


def test_a_description_ends_with_the_range_of_its_number() -> None:
    class Ranged(BaseModel):
        weight: float = Field(ge=-10, le=10, description="Scales it.")
        share: float = Field(gt=0, le=1, description="Of all.")
        count: int = Field(ge=0, description="How many.")

    fields = with_words(structural(Ranged.model_json_schema()), {})["properties"]

    said = {name: field["description"] for name, field in fields.items()}
    assert said == {
        "weight": "Scales it. From -10 to 10.",
        "share": "Of all. Above 0 to 1.",
        "count": "How many.",
    }
