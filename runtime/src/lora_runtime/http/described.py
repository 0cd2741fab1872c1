"""What OpenAPI is told of routes that read their bodies themselves."""

from typing import Any

from pydantic import BaseModel


def takes(message: type[BaseModel]) -> dict[str, Any]:
    """As `openapi_extra` of a route: what its body holds."""
    schema = message.model_json_schema(ref_template="#/components/schemas/{model}")
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
