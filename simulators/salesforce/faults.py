"""What the simulated org refuses, as REST answers it (salesforce.md §4.2): a status and an array of errors."""

from __future__ import annotations

from typing import Any


class Refused(Exception):
    """`body` is JSON-ready; `headers` go with the answer."""

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.headers = headers or {}


def refused(status: int, code: str, message: str, fields: tuple[str, ...] = ()) -> Refused:
    """One error in the array that REST answers with."""
    return Refused(status, [{"message": message, "errorCode": code, "fields": list(fields)}])
