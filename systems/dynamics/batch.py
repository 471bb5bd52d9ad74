"""Many Web API requests in one: sends a `$batch` and gives each request its own answer (dynamics.md §3.4).

Promises: one answer a request, in order; one that fails stops no other; a request whose answer did not come back is a
TransientError. The whole counts as one request against the limits, but its time counts in full (§3.5).
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import aiohttp

from isthmus.codecs.dynamics_batch import BatchAnswer, BatchRequest, decode, encode
from isthmus.config.errors import DecodeError, PlatformError, TransientError
from isthmus.systems.dynamics.errors import web_api_error
from isthmus.systems.dynamics.session import Session
from isthmus.systems.http import Answer

# The parts are carried out one after another, so a batch takes its time.
PATIENCE = aiohttp.ClientTimeout(total=120.0)


async def send(environment: Session, requests: Sequence[BatchRequest]) -> list[Answer | PlatformError]:
    """The answers; the error of the whole for each where the batch itself was refused."""
    content_type, body = encode(requests, f"batch_{secrets.token_hex(16)}")
    headers = {"Content-Type": content_type, "Prefer": "odata.continue-on-error"}
    try:
        whole = await environment.call("POST", "$batch", data=body, headers=headers, timeout=PATIENCE)
        answers = _opened(whole)
    except PlatformError as fault:
        return [fault] * len(requests)
    for answer in answers:
        environment.note(answer)
    missing = TransientError("the answer of a batch ends too soon", code="ANSWER")
    return [*answers[: len(requests)], *[missing] * (len(requests) - len(answers))]


def _opened(whole: Answer) -> list[Answer]:
    if whole.status != 200:
        raise web_api_error(whole.status, whole.json(), whole.retry_after)
    try:
        parts = decode(whole.headers.get("content-type", ""), whole.body)
    except DecodeError as fault:
        raise TransientError(f"Dynamics answers no batch: {fault}", code="ANSWER") from fault
    return [Answer(one.status, one.headers, one.body) for one in parts if isinstance(one, BatchAnswer)]
