"""`$batch`: many requests in one, changesets atomic (dynamics.md §3.4).

Promises: takes CRLF and LF bodies, quoted and bare boundaries; answers in the platform's own form, two blank lines
after a bodyless 204, prefix `--changesetresponse_`; without `odata.continue-on-error` the first failure is the whole
answer.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

import orjson

from isthmus.simulators.dynamics import faults
from isthmus.simulators.dynamics.calls import Call, Reply, fault_reply, split_target
from isthmus.simulators.dynamics.webapi import WebApi

LARGEST_BATCH = 1000
BOUNDARY = re.compile(r'boundary="?([^";,\s]+)"?', re.IGNORECASE)
REFERENCE = re.compile(r"\$(\d+)")


@dataclass(frozen=True, slots=True)
class Part:
    """One request of a batch, or (with `changes`) a changeset."""

    content_id: str | None = None
    call: Call | None = None
    changes: tuple[Part, ...] = ()


async def answer_batch(api: WebApi, call: Call, new_id: Callable[[], str]) -> Reply:
    """Carry out a batch, in order."""
    parts = _parse(call, call.headers.get("content-type", ""), call.body.decode())
    if sum(len(part.changes) or 1 for part in parts) > LARGEST_BATCH:
        raise faults.invalid("The batch holds more than 1000 requests.")
    goes_on = call.prefers("odata.continue-on-error")
    boundary, written = f"batchresponse_{new_id()}", []
    for part in parts:
        replies = await _carry_out(api, part)
        failed = replies[0][1].status >= 400
        if failed and not goes_on:
            return _multipart(400, boundary, [_write_part(replies[0][1], None, new_id())])
        written.append(_write_set(replies, new_id) if part.changes and not failed else _write_part(replies[0][1], None))
    return _multipart(200, boundary, written)


async def _carry_out(api: WebApi, part: Part) -> list[tuple[str | None, Reply]]:
    if part.call is not None:
        return [(None, await api.answer(part.call))]
    calls = [change.call for change in part.changes if change.call is not None]
    names = [change.content_id for change in part.changes]
    try:
        replies = await api.together(calls, lambda one, before: _refer(one, dict(zip(names, before, strict=False))))
    except faults.Fault as fault:
        return [(None, fault_reply(fault))]
    return list(zip(names, replies, strict=True))


def _refer(call: Call, before: dict[str | None, Reply]) -> Call:
    """Put the addresses of earlier parts of the changeset where `$n` stands."""

    def address(match: re.Match[str]) -> str:
        reply = before.get(match[1])
        if reply is None:
            text = f"Content-ID Reference: '{match[0]}' does not exist in the batch context."
            raise faults.Fault(400, "0x80060888", text)
        return reply.headers["OData-EntityId"]

    path, body = call.path, call.body
    if path.startswith("$"):
        path = split_target(REFERENCE.sub(address, path, count=1))[0]
    if b"@odata.bind" in body:
        body = re.sub(r'"\$(\d+)"', lambda match: f'"{address(_inner(match))}"', body.decode()).encode()
    return dataclasses.replace(call, path=path, body=body)


def _inner(match: re.Match[str]) -> re.Match[str]:
    inner = REFERENCE.search(match[0])
    assert inner is not None
    return inner


def _parse(call: Call, content_type: str, body: str) -> list[Part]:
    found = BOUNDARY.search(content_type)
    if "multipart/mixed" not in content_type or found is None:
        raise faults.invalid("The batch request must have a multipart/mixed content type with a boundary.")
    return [_parse_part(call, text) for text in _split(body.replace("\r\n", "\n"), found[1])]


def _split(body: str, boundary: str) -> list[str]:
    pieces = re.split(rf"(?m)^--{re.escape(boundary)}(?:--)?[ \t]*$\n?", body)
    return [piece for piece in pieces[1:-1] if piece.strip()]


def _parse_part(call: Call, text: str) -> Part:
    headers, rest = _headers(text.lstrip("\n"))
    content_type = headers.get("content-type", "")
    if "multipart/mixed" in content_type:
        changes = tuple(_parse(call, content_type, rest))
        if any(part.call is None or part.call.method == "GET" for part in changes):
            raise faults.invalid("A changeset holds writes only.")
        return Part(changes=changes)
    return Part(headers.get("content-id"), _parse_request(call, rest.lstrip("\n")))


def _parse_request(call: Call, text: str) -> Call:
    line, _, rest = text.partition("\n")
    method, _, target = line.strip().partition(" ")
    target = re.sub(r" HTTP/\d\.\d$", "", target)
    headers, body = _headers(rest)
    reference = target.lstrip("/").startswith("$")
    path, query = (target.lstrip("/"), {}) if reference else split_target(_absolute(call, target))
    return dataclasses.replace(
        call, method=method, path=path, query=query, headers=headers, body=body.strip("\n").encode()
    )


def _absolute(call: Call, target: str) -> str:
    return target if "/api/data/" in target else f"{call.base}/{target.lstrip('/')}"


def _headers(text: str) -> tuple[dict[str, str], str]:
    block, _, rest = ("", "", text[1:]) if text.startswith("\n") else text.partition("\n\n")
    pairs = (line.partition(":") for line in block.split("\n") if ":" in line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}, rest


def _write_set(replies: list[tuple[str | None, Reply]], new_id: Callable[[], str]) -> str:
    boundary = f"changesetresponse_{new_id()}"
    inner = "".join(f"--{boundary}\r\n{_write_part(reply, name)}" for name, reply in replies)
    return f"Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n{inner}--{boundary}--\r\n"


def _write_part(reply: Reply, content_id: str | None, request_id: str | None = None) -> str:
    own = {"Content-Type": "application/http", "Content-Transfer-Encoding": "binary"}
    if content_id is not None:
        own["Content-ID"] = content_id
    inner = {**({"REQ_ID": request_id} if request_id else {}), "OData-Version": "4.0", **reply.headers}
    body = "" if reply.body is None else orjson.dumps(reply.body).decode()
    if body:
        inner["Content-Type"] = "application/json; odata.metadata=minimal"
    status = f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}"
    return f"{_lines(own)}\r\n{status}\r\n{_lines(inner)}\r\n{body}\r\n"


def _lines(headers: dict[str, str]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


def _multipart(status: int, boundary: str, parts: list[str]) -> Reply:
    body = "".join(f"--{boundary}\r\n{part}" for part in parts) + f"--{boundary}--\r\n"
    return Reply(status, {"Content-Type": f"multipart/mixed; boundary={boundary}"}, body.encode())
