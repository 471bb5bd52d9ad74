"""What the Pub/Sub API's failures mean: the error code of the trailers first, the gRPC status where there is none
(salesforce.md §2.5).

Promises: pure; every failure becomes one of the `PlatformError`s; a code that nobody knows is judged by its status. What
grpc.aio makes of a call that ended while it was written to (INTERNAL, no trailers) is asked again until it is known.
"""

from __future__ import annotations

from isthmus.config.errors import AuthError, PermanentError, PlatformError, ReplayLost, TransientError
from isthmus.systems.salesforce.errors import CROWD_WAIT_SECONDS, LONGEST_MESSAGE, QUOTA_WAIT_SECONDS

PREFIX = "sfdc.platform.eventbus.grpc."

# The status says INVALID_ARGUMENT of all of these, and of our own mistakes.
LOST = {"subscription.fetch.replayid.corrupted", "subscription.fetch.replayid.validation.failed"}
AUTH = {"service.auth.error", "service.auth.headers.invalid", "service.auth.refresh.invalid"}
REPLAY_TEXT = "The Replay ID validation failed"
CROWD = {
    "service.protection.triggered",
    "service.protection.stream.limit.triggered",
    "concurrent.client.limit.exceeded",
}
QUOTA = {"subscription.limit.exceeded"}
FORBIDDEN = {"subscription.topic.cannot.subscribe", "topic.meta.permission"}
# Among them what a new subscription may put right.
PASSING = {
    "service.unavailable",
    "topic.api.unavailable",
    "schema.api.unavailable",
    "subscription.internal.error",
    "subscription.fetch.replay.repeated",
    "subscription.fetch.overflow",
}
PERMANENT = {"service.tenant.license", "topic.not.found", "topic.validation.empty"}

AUTH_STATUSES = {"UNAUTHENTICATED"}
PERMANENT_STATUSES = {"PERMISSION_DENIED", "NOT_FOUND", "INVALID_ARGUMENT", "UNIMPLEMENTED", "FAILED_PRECONDITION"}

HINTS = {
    "service.tenant.license": "the org has no licence for the Pub/Sub API: set salesforce.transport to cometd",
    "service.auth.headers.invalid": "the org's id or address is not what the login said: log in at the org's My Domain",
    "topic.not.found": "select the entities for change data capture, or correct salesforce.channels",
}
ALLOWED = "let the integration user view all records of the channel's entities"
LOST_HINT = "re-read every record, then start again from -2: changes that were never delivered may be gone"


def pubsub_error(status: str, error_code: str, details: str) -> PlatformError:
    """The error for a call that ended: the status's name, `error-code` of its trailers or "", and its text, which ends
    with the rpc id that Salesforce's support asks for."""
    code = error_code.removeprefix(PREFIX) or _by_text(details)
    text = f"Salesforce's Pub/Sub API says {code or status}: {details}"[:LONGEST_MESSAGE].rstrip(": ")
    if code in LOST:
        return ReplayLost(text, hint=LOST_HINT)
    if code in AUTH:
        return AuthError(text, hint=HINTS.get(code))
    if code in QUOTA:
        return TransientError(text, code="QUOTA", retry_after=QUOTA_WAIT_SECONDS)
    if code in CROWD:
        return TransientError(text, code="CROWD", retry_after=CROWD_WAIT_SECONDS)
    if code in FORBIDDEN:
        return PermanentError(text, code="SUBSCRIBE", hint=ALLOWED)
    if code in PERMANENT:
        return PermanentError(text, code="NO_CHANNEL" if code.startswith("topic.") else None, hint=HINTS.get(code))
    return TransientError(text, code="SESSION") if code in PASSING else _by_status(status, text)


def _by_text(details: str) -> str:
    """The code of a failure that came without one: of what would be lost in silence, the text is known as well."""
    return "subscription.fetch.replayid.corrupted" if REPLAY_TEXT in details else ""


def _by_status(status: str, text: str) -> PlatformError:
    if status in AUTH_STATUSES:
        return AuthError(text)
    if status in PERMANENT_STATUSES:
        return PermanentError(text)
    return TransientError(text, code="NETWORK")
