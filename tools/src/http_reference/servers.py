"""The servers of a pod, as OpenAPI describes them; none of them is ever asked anything."""

from typing import Any, cast

from fastapi import FastAPI
from pydantic import TypeAdapter

from lora_runtime.composing import Wish
from lora_runtime.engine.completing import Completions
from lora_runtime.http.adapters import Local, adapters_router
from lora_runtime.http.admin import admin_app
from lora_runtime.http.changers import Changers
from lora_runtime.http.ready import ready_router
from lora_runtime.http.scalings import Ask, scalings_router
from lora_runtime.http.tgi.routes import tgi_router
from lora_runtime.metrics.lifecycle import Lifecycle
from lora_runtime.service import Service
from lora_runtime.standalone.wish import Changes

Json = dict[str, Any]


def serving() -> Json:
    """Our routes on the serving port; vLLM's are its own to describe."""
    app = FastAPI()
    app.include_router(ready_router(bool))
    app.include_router(tgi_router(lambda: cast("Completions", None)))
    app.include_router(scalings_router(0, lambda: cast("Ask", None)))
    app.include_router(adapters_router(cast("Local", None), Changers(Changes())))
    described = _whole(app.openapi())
    described["components"]["schemas"] |= _defined(TypeAdapter(Wish).json_schema(ref_template=_REFERENCE))
    return described


def admin() -> Json:
    """The admin port."""
    return _whole(admin_app(cast("Service", None), cast("Lifecycle", None)).openapi())


_REFERENCE = "#/components/schemas/{model}"


def _whole(described: Json) -> Json:
    """With the messages of bodies that routes read themselves among the others."""
    schemas = described.setdefault("components", {}).setdefault("schemas", {})
    for operations in described["paths"].values():
        for operation in operations.values():
            if "requestBody" in operation:
                content = operation["requestBody"]["content"]["application/json"]
                schemas |= _defined(content["schema"])
                content["schema"] = {"$ref": _REFERENCE.format(model=content["schema"]["title"])}
    return described


def _defined(schema: Json) -> Json:
    """The schema and those that it brings along, by name."""
    return {schema["title"]: schema, **schema.get("$defs", {})}
