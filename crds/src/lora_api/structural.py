"""Rewrites pydantic's JSON schema as the structural schema that a CustomResourceDefinition wants. Pure."""

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]

_INT32_MAX = 2**31 - 1
_DROPPED = frozenset({"title", "additionalProperties", "uniqueItems", "const", "exclusiveMinimum", "exclusiveMaximum"})


class NotStructural(ValueError):
    """A type has no structural form; the message names the field and what to write instead."""


def structural(schema: Mapping[str, Any]) -> Schema:
    """The structural form of what `BaseModel.model_json_schema()` returned, with every reference inlined.

    Kept: bounds, patterns, formats, defaults, enums, `required`, and every `x-kubernetes-*` key.

    Raises:
        NotStructural: a field's type cannot be said in a structural schema.
    """
    return _rewrite(schema, schema.get("$defs", {}), "")


def without_defaults(schema: Mapping[str, Any]) -> Schema:
    """The same schema without defaults: what a status does not say was not observed."""
    result = {key: value for key, value in schema.items() if key != "default"}
    if "properties" in result:
        result["properties"] = {name: without_defaults(field) for name, field in result["properties"].items()}
    if "items" in result:
        result["items"] = without_defaults(result["items"])
    return result


def with_words(schema: Mapping[str, Any], forms: Mapping[str, str]) -> Schema:
    """The same schema, saying in words what people would have to find out else.

    A pattern that is one of `forms` becomes a rule with these words: of a pattern the API server says nothing but the pattern.
    A description ends with the range of its number, which `kubectl explain` does not show.
    """
    result = dict(schema)
    if (words := forms.get(result.get("pattern", ""))) is not None:
        rule = {"rule": f"self.matches(r'{result.pop('pattern')}')", "message": f"must be {words}"}
        result["x-kubernetes-validations"] = [rule, *result.get("x-kubernetes-validations", ())]
    if "description" in result and "minimum" in result and "maximum" in result:
        result["description"] += f" {_range(result)}"
    if "properties" in result:
        result["properties"] = {name: with_words(field, forms) for name, field in result["properties"].items()}
    if "items" in result:
        result["items"] = with_words(result["items"], forms)
    return result


def _range(field: Mapping[str, Any]) -> str:
    begin = "Above" if field.get("exclusiveMinimum") else "From"
    return f"{begin} {field['minimum']:g} to {field['maximum']:.10g}."


def _rewrite(schema: Mapping[str, Any], defs: Mapping[str, Any], path: str) -> Schema:
    schema = _required_form(_referenced(schema, defs), defs, path)
    result = {key: value for key, value in schema.items() if key not in _DROPPED and not key.startswith("$")}
    if "prefixItems" in result or "anyOf" in result or "oneOf" in result or "allOf" in result:
        raise NotStructural(
            f"{path}: a union or a tuple of fixed length has no structural form; use an object with optional fields"
        )
    if schema.get("additionalProperties") and "x-kubernetes-preserve-unknown-fields" not in schema:
        raise NotStructural(
            f"{path}: a map must be marked as open (preserve-unknown-fields) or become a list of named objects"
        )
    if schema.get("uniqueItems"):
        result["x-kubernetes-list-type"] = "set"
    if "const" in schema:
        result["enum"] = [schema["const"]]
    if "description" in result:
        result["description"] = _first_paragraph(result["description"])
    if "default" in result:
        result["default"] = _without_nulls(result["default"])
    if result.get("type") in ("integer", "number"):
        result |= _bounds(schema)
    if result.get("type") == "integer":
        result.setdefault("format", "int32" if abs(result.get("maximum", _INT32_MAX + 1)) <= _INT32_MAX else "int64")
    if "items" in result:
        result["items"] = _rewrite(result["items"], defs, f"{path}[]")
    if "properties" in result:
        result["properties"] = {
            name: _rewrite(field, defs, f"{path}.{name}") for name, field in result["properties"].items()
        }
    return result


def _referenced(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema with its `$ref` inlined; what stands beside the reference wins."""
    if "$ref" not in schema:
        return schema
    target = defs[schema["$ref"].removeprefix("#/$defs/")]
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    # A rule of the type must not be lost because the field has one of its own.
    rules = [*target.get("x-kubernetes-validations", ()), *beside.get("x-kubernetes-validations", ())]
    return {**_referenced(target, defs), **beside, **({"x-kubernetes-validations": rules} if rules else {})}


def _required_form(schema: Mapping[str, Any], defs: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    """The schema of `T` where pydantic says `T or null`: in a custom resource a field is absent, never null."""
    if "anyOf" not in schema:
        return schema
    choices = [choice for choice in schema["anyOf"] if choice.get("type") != "null"]
    if len(choices) != 1:
        raise NotStructural(f"{path}: a union has no structural form; use an object with optional fields")
    beside = {key: value for key, value in schema.items() if key != "anyOf"}
    if beside.get("default", ...) is None:
        del beside["default"]
    inner = _referenced(choices[0], defs)
    rules = [*inner.get("x-kubernetes-validations", ()), *beside.get("x-kubernetes-validations", ())]
    return {**inner, **beside, **({"x-kubernetes-validations": rules} if rules else {})}


def _bounds(schema: Mapping[str, Any]) -> Schema:
    """Exclusive bounds in the way a CRD says them: a neighbour for integers, a flag for numbers."""
    result: Schema = {}
    for exclusive, inclusive, step in (("exclusiveMinimum", "minimum", 1), ("exclusiveMaximum", "maximum", -1)):
        if exclusive not in schema:
            continue
        if schema["type"] == "integer":
            result[inclusive] = int(schema[exclusive]) + step
        else:
            result |= {inclusive: schema[exclusive], exclusive: True}
    return result


def _without_nulls(value: Any) -> Any:
    """A default as it is stored: unset fields are absent."""
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return value


def _first_paragraph(text: str) -> str:
    return " ".join(text.split("\n\n", 1)[0].split())
