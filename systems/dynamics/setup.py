"""The rows by which an environment is set up: asking for them and changing them.

Promises: what the platform refuses is the error of its table.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from isthmus.systems.dynamics.errors import web_api_error
from isthmus.systems.dynamics.session import Session


async def send(environment: Session, method: str, path: str, body: Any, headers: dict[str, str] | None = None) -> Any:
    """The answer to a change that was made."""
    answer = await environment.call(method, path, json=body, headers={"Prefer": "", **(headers or {})})
    if answer.status not in (200, 201, 204):
        raise web_api_error(answer.status, answer.json(), answer.retry_after)
    return answer


async def rows(environment: Session, collection: str, select: str, condition: str) -> list[dict[str, Any]]:
    """The rows that meet a $filter, in plain text."""
    told = await environment.get(f"{collection}?$select={select}&$filter={quote(condition)}")
    found: list[dict[str, Any]] = told["value"]
    return found
