"""What an endpoint of the HTTP API is: declared as data, from which it is served and the OpenAPI document is made.

Promises: the same declarations give the same document; errors are JSON with `error` and `hint`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from pydantic import BaseModel, Field

REF = "#/components/schemas/{model}"


class Problem(BaseModel):
    """An error."""

    error: str
    hint: str = Field("", description="What to do next.")


@dataclass(frozen=True)
class Endpoint:
    """One endpoint: `answers` maps a status to the model of its body, `query` a parameter's name to its meaning; `body`
    is what it takes. What is `guarded` needs the operator's token."""

    method: str
    path: str
    summary: str
    handler: str
    answers: dict[int, type[BaseModel]]
    query: Mapping[str, str] = field(default_factory=dict)
    body: type[BaseModel] | None = None
    guarded: bool = False


def json_response(model: BaseModel, status: int = 200) -> web.Response:
    """A model as a JSON response."""
    return web.Response(body=model.model_dump_json().encode(), status=status, content_type="application/json")


def problem(status: int, error: str, hint: str = "") -> web.Response:
    """An error as a JSON response."""
    return json_response(Problem(error=error, hint=hint), status)


def document(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of these endpoints."""
    schemas: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method] = _operation(endpoint, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Isthmus", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"operator": {"type": "http", "scheme": "bearer", "description": "node.operator_token"}},
        },
    }


def _operation(endpoint: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    found = {
        "summary": endpoint.summary,
        "operationId": endpoint.handler,
        "parameters": [
            *(_parameter(name, "path") for name in re.findall(r"{(\w+)}", endpoint.path)),
            *(_parameter(name, "query") | {"description": meaning} for name, meaning in endpoint.query.items()),
        ],
        "responses": {str(status): _answer(model, schemas) for status, model in endpoint.answers.items()},
    }
    if endpoint.body is not None:
        found["requestBody"] = {"required": True, "content": _content(endpoint.body, schemas, "validation")}
    if endpoint.guarded:
        found["security"] = [{"operator": []}]
    return found


def _parameter(name: str, place: str) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": {"type": "string"}}


def _answer(model: type[BaseModel], schemas: dict[str, Any]) -> dict[str, Any]:
    return {"description": (model.__doc__ or "").strip(), "content": _content(model, schemas, "serialization")}


def _content(model: type[BaseModel], schemas: dict[str, Any], mode: Any) -> dict[str, Any]:
    schema = model.model_json_schema(ref_template=REF, mode=mode)
    schemas.update(schema.pop("$defs", {}))
    schemas[model.__name__] = schema
    return {"application/json": {"schema": {"$ref": REF.format(model=model.__name__)}}}
