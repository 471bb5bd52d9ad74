"""Dataverse's failures, by the table of what to do."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.config.errors import AuthError, ConflictError, PermanentError, PlatformError, TransientError
from isthmus.systems.dynamics.errors import web_api_error
from isthmus.systems.entra import login_error


def one(code: str, message: str = "It failed.") -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, one("0x80040203"), PermanentError),
        (400, one("0x80044331"), PermanentError),
        (400, one("0x80040265"), PermanentError),
        (401, one("0x8004A100"), AuthError),
        (401, None, AuthError),
        (403, one("0x80040220"), PermanentError),
        (404, one("0x80040217"), ConflictError),
        (404, one("0x80060891"), ConflictError),
        (404, None, PermanentError),
        (412, one("0x80060882"), ConflictError),
        (412, one("0x80040237"), PermanentError),
        (412, one("0x80060892"), PermanentError),
        (412, one("0x80040333"), PermanentError),
        (413, one("0x8004418A"), PermanentError),
        (429, one("0x80072322"), TransientError),
        (429, None, TransientError),
        (500, one("0x80040216"), TransientError),
        (400, one("0x80044151"), TransientError),
        (503, None, TransientError),
    ],
)
def test_a_failure_says_what_to_do(status: int, body: Any, kind: type[PlatformError]) -> None:
    assert type(web_api_error(status, body)) is kind


def test_the_wait_of_a_throttled_answer_is_kept() -> None:
    assert web_api_error(429, one("0x80072321"), 42.0).retry_after == 42.0
    assert web_api_error(400, one("0x80040203"), 42.0).retry_after is None


def test_an_error_names_its_code_and_message() -> None:
    fault = web_api_error(412, one("0x80060882", "The version of the existing record doesn't match."))
    assert fault.code == "0x80060882"
    assert str(fault) == "Dynamics answers 412 0x80060882: The version of the existing record doesn't match."
    assert web_api_error(503, None).code == "HTTP_503"


@pytest.mark.parametrize("body", [None, [], {}, "text", {"error": None}, {"error": "text"}, {"error": {"code": 5}}])
def test_no_body_is_too_strange(body: Any) -> None:
    assert type(web_api_error(400, body)) is PermanentError


def test_a_refused_login_tells_the_first_line_only() -> None:
    body = {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret.\r\nTrace ID: 5"}
    fault = login_error(401, body)
    assert type(fault) is AuthError
    assert str(fault) == "Entra refuses the login: invalid_client AADSTS7000215: Invalid client secret."


def test_an_authority_that_is_down_is_waited_for() -> None:
    assert type(login_error(503, None)) is TransientError
    assert type(login_error(400, None)) is AuthError


@pytest.mark.parametrize(
    ("message", "of_record"),
    [("Generic SQL error: the transaction was deadlocked on lock resources.", True), ("Generic SQL error.", False)],
)
def test_a_deadlock_says_nothing_of_the_environment(message: str, of_record: bool) -> None:
    fault = web_api_error(500, one("0x80044150", message))
    assert isinstance(fault, TransientError)
    assert fault.of_record is of_record
