"""The failures of Finance & Operations, by the table of what to do."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.config.errors import AuthError, ConflictError, PermanentError, PlatformError, TransientError
from isthmus.systems.operations.errors import odata_error

WRITE = "Microsoft.Dynamics.Platform.Integration.Services.OData.AxODataWriteException"


def one(message: str, kind: str = "") -> dict[str, Any]:
    told = {"message": message, "type": kind, "stacktrace": "   at …"}
    return {"error": {"code": "", "message": "An error has occurred.", "innererror": told}}


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (
            400,
            one("Write failed for table row of type 'X'. Infolog: Warning: no.", WRITE),
            PermanentError,
            "WRITE_REFUSED",
        ),
        (
            500,
            one("Write failed for table row of type 'X'. Infolog: Error: no.", WRITE),
            PermanentError,
            "WRITE_REFUSED",
        ),
        (
            500,
            one("Cannot edit a record in X. An update conflict occurred due to another user process.", WRITE),
            ConflictError,
            "UPDATE_CONFLICT",
        ),
        (500, one("Cannot create a record: deadlock, transaction was rolled back.", WRITE), TransientError, "DEADLOCK"),
        (500, one("Something else."), TransientError, "HTTP_500"),
        (503, None, TransientError, "HTTP_503"),
        (429, None, TransientError, "HTTP_429"),
        (408, None, TransientError, "HTTP_408"),
        (412, one("changed"), ConflictError, "HTTP_412"),
        (401, None, AuthError, "HTTP_401"),
        (403, {"Message": "Forbidden"}, PermanentError, "HTTP_403"),
        (404, one("Resource not found for the segment 'X'."), PermanentError, "HTTP_404"),
        (400, {"error": {"code": "", "message": "Bad."}}, PermanentError, "HTTP_400"),
    ],
)
def test_a_failure_is_what_the_table_says(status: int, body: Any, kind: type[PlatformError], code: str) -> None:
    fault = odata_error(status, body, 3.0)
    assert type(fault) is kind
    assert fault.code == code
    assert fault.retry_after == (3.0 if kind is TransientError else None)


def test_the_message_is_the_reason_and_no_stack() -> None:
    text = str(odata_error(400, one("Field 'Customer group' must be filled in.", WRITE)))
    assert "Customer group" in text
    assert " at " not in text
    assert len(str(odata_error(400, one("x" * 5000)))) <= 500


def test_a_deadlock_says_nothing_of_the_environment() -> None:
    assert odata_error(500, one("Cannot create a record: deadlock.", WRITE)).of_record
    assert not odata_error(503, None).of_record
