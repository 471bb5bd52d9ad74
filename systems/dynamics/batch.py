"""Many Web API requests in one: sends a `$batch` and gives each request its own answer (dynamics.md §3.4).

Reads stand in it by themselves, writes in changesets: each of those is done as a whole or not at all, and its answers bear
the numbers of its requests. Promises: one answer a request, in order; one changeset that fails stops no other; its error is
that of all its requests; a request whose answer did not come back is a TransientError. The whole counts as one request
against the limits, but its time counts in full (§3.5).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

import aiohttp

from isthmus.codecs.dynamics_batch import Answers, BatchAnswer, BatchRequest, Requests, decode, encode
from isthmus.config.errors import DecodeError, PlatformError, TransientError
from isthmus.systems.dynamics.errors import web_api_error
from isthmus.systems.dynamics.session import Session
from isthmus.systems.http import Answer

# The parts are carried out one after another, so a batch takes its time.
PATIENCE = aiohttp.ClientTimeout(total=120.0)

Replies = list[Answer | PlatformError]
Changeset = tuple[BatchRequest, ...]


async def send(environment: Session, requests: Sequence[BatchRequest]) -> Replies:
    """The answers of requests by themselves; the error of the whole for each where the batch itself was refused."""
    return [replies[0] for replies in await _sent(environment, requests, [1] * len(requests), {})]


async def change(environment: Session, sets: Sequence[Changeset], headers: Mapping[str, str]) -> list[Replies]:
    """The answers of changesets, one a request; `headers` are the batch's own, besides those of its requests."""
    numbered = [tuple(_numbered(one, number) for number, one in enumerate(some, 1)) for some in sets]
    return await _sent(environment, numbered, [len(some) for some in sets], headers)


def _numbered(one: BatchRequest, number: int) -> BatchRequest:
    return BatchRequest(one.method, one.target, one.headers, one.body, content_id=str(number))


async def _sent(
    environment: Session, requests: Requests, sizes: Sequence[int], headers: Mapping[str, str]
) -> list[Replies]:
    content_type, body = encode(requests, f"batch_{secrets.token_hex(16)}")
    own = {**headers, "Content-Type": content_type, "Prefer": "odata.continue-on-error"}
    try:
        whole = await environment.call("POST", "$batch", data=body, headers=own, timeout=PATIENCE)
        parts = _opened(whole)
    except PlatformError as fault:
        return [[fault] * size for size in sizes]
    for part in parts:
        for one in part if isinstance(part, tuple) else (part,):
            environment.note(_answer(one))
    missing: Answers = [()] * (len(sizes) - len(parts))
    return [_replies(part, size) for part, size in zip([*parts, *missing], sizes, strict=False)]


def _replies(part: BatchAnswer | tuple[BatchAnswer, ...], size: int) -> Replies:
    """What came back for `size` requests: an answer each by its number, or one for all."""
    if isinstance(part, BatchAnswer):
        return [_answer(part)] * size
    numbers = [one.content_id for one in part]
    wanted = [str(number) for number in range(1, size + 1)]
    # By their place where the numbers did not come back.
    known = dict(zip(numbers if set(numbers) == set(wanted) else wanted, part, strict=False))
    missing = TransientError("the answer of a batch ends too soon", code="ANSWER")
    return [_answer(known[number]) if number in known else missing for number in wanted]


def _answer(part: BatchAnswer) -> Answer:
    return Answer(part.status, part.headers, part.body)


def _opened(whole: Answer) -> Answers:
    if whole.status != 200:
        raise web_api_error(whole.status, whole.json(), whole.retry_after)
    try:
        return decode(whole.headers.get("content-type", ""), whole.body)
    except DecodeError as fault:
        raise TransientError(f"Dynamics answers no batch: {fault}", code="ANSWER") from fault
