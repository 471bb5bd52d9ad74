"""Salesforce's failures, by the table of what to do."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.config.errors import (
    AuthError,
    ConflictError,
    PermanentError,
    PlatformError,
    ReplayLost,
    TransientError,
)
from isthmus.systems.salesforce.errors import login_error, meta_error, rest_error


def one(code: str, message: str = "") -> list[dict[str, Any]]:
    return [{"message": message, "errorCode": code, "fields": []}]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, one("UNABLE_TO_LOCK_ROW"), TransientError),
        (503, one("SERVER_UNAVAILABLE"), TransientError),
        (500, one("UNKNOWN_EXCEPTION"), TransientError),
        (403, one("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."), TransientError),
        (420, None, TransientError),
        (502, None, TransientError),
        (401, one("INVALID_SESSION_ID"), AuthError),
        (400, one("FIELD_CUSTOM_VALIDATION_EXCEPTION"), PermanentError),
        (400, one("REQUIRED_FIELD_MISSING"), PermanentError),
        (400, one("STRING_TOO_LONG"), PermanentError),
        (400, one("MALFORMED_ID"), PermanentError),
        (400, one("DUPLICATE_VALUE"), PermanentError),
        (403, one("INSUFFICIENT_ACCESS_OR_READONLY"), PermanentError),
        (400, one("A_CODE_OF_NEXT_YEAR"), PermanentError),
        (404, one("NOT_FOUND"), ConflictError),
        (404, one("ENTITY_IS_DELETED"), ConflictError),
        (412, None, ConflictError),
        (400, one("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "T: UNABLE_TO_LOCK_ROW, unable to…"), TransientError),
        (400, one("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "T: System.NullPointerException"), PermanentError),
        (200, {"success": False, "errors": [{"statusCode": "UNABLE_TO_LOCK_ROW", "message": ""}]}, TransientError),
    ],
)
def test_a_rest_failure_says_what_to_do(status: int, body: Any, kind: type[PlatformError]) -> None:
    assert type(rest_error(status, body)) is kind


def test_the_platforms_own_wait_is_obeyed_before_ours() -> None:
    body = one("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
    assert rest_error(403, body, 17.0).retry_after == 17.0
    assert rest_error(403, body).retry_after == 300.0
    assert rest_error(403, one("REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests Limit exceeded.")).retry_after == 30.0
    assert rest_error(503, None).retry_after is None


def test_an_error_names_its_code_and_message() -> None:
    fault = rest_error(400, one("STRING_TOO_LONG", "Name: data value too large"))
    assert fault.code == "STRING_TOO_LONG"
    assert str(fault) == "Salesforce answers 400 STRING_TOO_LONG: Name: data value too large"
    assert rest_error(503, None).code == "HTTP_503"


@pytest.mark.parametrize("body", [None, [], {}, "text", 5, [None], ["x"], {"errors": []}, {"errors": [3]}])
def test_no_body_is_too_strange(body: Any) -> None:
    assert type(rest_error(400, body)) is PermanentError


def meta(channel: str, error: str, reason: str | None = None) -> dict[str, Any]:
    message = {"channel": channel, "successful": False, "error": error}
    return message if reason is None else {**message, "ext": {"sfdc": {"failureReason": reason}}}


INVALID = "400::The replayId {82} you provided was invalid.  Please provide a valid ID, -2 to replay all events, or -1."


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (meta("/meta/subscribe", INVALID), ReplayLost),
        (meta("/meta/subscribe", "400::The channel you requested to subscribe to doesn't exist {x}"), PermanentError),
        (meta("/meta/subscribe", "403::Restricted channel"), PermanentError),
        (meta("/meta/subscribe", "403::Unknown client"), TransientError),
        (meta("/meta/connect", "403::Unknown client"), TransientError),
        (meta("/meta/connect", "401::Authentication invalid"), AuthError),
        (meta("/meta/connect", "401::Authentication invalid", "503::Server is too busy"), TransientError),
        (meta("/meta/handshake", "403::Handshake denied", "401::Authentication invalid"), AuthError),
        (meta("/meta/handshake", "403::Organization concurrent user limit exceeded"), TransientError),
        (meta("/meta/connect", "403::Organization total events daily limit exceeded"), TransientError),
        (
            meta("/meta/subscribe", "400::Client 1cyu has established a session, but no sfdc-stream cookie present"),
            TransientError,
        ),
        (meta("/meta/handshake", "403::Handshake denied", "403::To protect all customers from"), TransientError),
        (
            meta("/meta/subscribe", "403::User not allowed to subscribe CDC without View All Data permissions"),
            PermanentError,
        ),
        ({"channel": "/meta/connect", "successful": False}, TransientError),
    ],
)
def test_a_bayeux_failure_says_what_to_do(message: dict[str, Any], kind: type[PlatformError]) -> None:
    assert type(meta_error(message)) is kind


def test_a_spent_quota_is_waited_for() -> None:
    fault = meta_error(meta("/meta/connect", "403::Organization total events daily limit exceeded"))
    assert isinstance(fault, PlatformError)
    assert fault.retry_after == 300.0


def test_a_crowd_is_given_time() -> None:
    for told in (
        "403::Organization concurrent user limit exceeded",
        "403::To protect all customers from excessive use",
    ):
        fault = meta_error(meta("/meta/handshake", "403::Handshake denied", told))
        assert (fault.code, fault.retry_after) == ("CROWD", 30.0)


def test_a_lost_replay_id_says_what_the_operator_must_do() -> None:
    assert "re-read" in meta_error(meta("/meta/subscribe", INVALID)).hint


def test_a_refused_login_is_told_and_a_busy_one_is_waited_for() -> None:
    refused = login_error(400, {"error": "invalid_client", "error_description": "invalid client credentials"})
    assert type(refused) is AuthError
    assert "invalid client credentials" in str(refused)
    assert type(login_error(503, None)) is TransientError


def test_the_wrong_domain_is_told_as_such() -> None:
    body = {"error": "invalid_grant", "error_description": "request not supported on this domain"}
    assert "My Domain" in login_error(400, body).hint


@pytest.mark.parametrize(
    ("body", "of_record"),
    [
        (one("UNABLE_TO_LOCK_ROW"), True),
        (one("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "T: UNABLE_TO_LOCK_ROW, unable to…"), True),
        (one("PROCESSING_HALTED"), True),
        (one("INVALID_FIELD", "Foreign key external ID: 5 not found for field X in entity Y"), True),
        (one("SERVER_UNAVAILABLE"), False),
        (one("REQUEST_LIMIT_EXCEEDED"), False),
    ],
)
def test_a_locked_row_says_nothing_of_the_org(body: Any, of_record: bool) -> None:
    fault = rest_error(400, body)
    assert isinstance(fault, TransientError)
    assert fault.of_record is of_record
