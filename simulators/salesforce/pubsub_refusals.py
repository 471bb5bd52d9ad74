"""How the simulated Pub/Sub API ends a call: statuses, error codes and texts (salesforce.md §2.5)."""

from __future__ import annotations

from typing import Any

import grpc


class Refusal(Exception):
    """A status, the error code of the trailers without its prefix, and a text."""

    def __init__(self, status: Any, code: str, text: str) -> None:
        super().__init__(text)
        self.status, self.code, self.text = status, code, text


_Status = grpc.StatusCode
CUT = Refusal(_Status.UNAVAILABLE, "service.unavailable", "The service is unavailable. Try again later.")
UNAUTHENTICATED = Refusal(_Status.UNAUTHENTICATED, "service.auth.error", "An authentication exception occurred.")
WRONG_HEADERS = Refusal(
    _Status.UNAUTHENTICATED, "service.auth.headers.invalid", "An authentication header is invalid or blank."
)
NO_TOPIC = Refusal(_Status.NOT_FOUND, "topic.not.found", "The topic does not exist.")
RESTRICTED = Refusal(
    _Status.PERMISSION_DENIED, "subscription.topic.cannot.subscribe", "You have no permission for the topic."
)
NO_SCHEMA = Refusal(_Status.INVALID_ARGUMENT, "schema.validation.failed", "The schema id is not valid.")
CORRUPTED = Refusal(
    _Status.INVALID_ARGUMENT,
    "subscription.fetch.replayid.corrupted",
    "The Replay ID validation failed. Ensure that the Replay ID is valid.",
)
NO_REPLAY_ID = Refusal(
    _Status.INVALID_ARGUMENT,
    "subscription.fetch.replayid.validation.failed",
    "The Replay ID validation failed. Supply one with CUSTOM, and with nothing else.",
)
NOTHING_REQUESTED = Refusal(
    _Status.INVALID_ARGUMENT,
    "subscription.fetch.requested.events.invalid",
    "The number of requested events must be greater than zero.",
)
OTHER_TOPIC = Refusal(
    _Status.INVALID_ARGUMENT, "subscription.fetch.topic.mismatch", "The topic differs from the first request's."
)
IDLE = Refusal(
    _Status.UNAVAILABLE, "service.unavailable", "No FetchRequest came in time for a subscription that asks for nothing."
)
QUOTA = Refusal(
    _Status.RESOURCE_EXHAUSTED,
    "subscription.limit.exceeded",
    "You have exceeded the event delivery limit for your org.",
)
