"""`$batch`: many requests in one, changesets atomic; the whole is 200 whatever its parts are (dynamics.md §5.3).

Promises: takes CRLF and LF; a changeset that fails answers with the one part that did, as 500, and changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus

import orjson

from isthmus.simulators.operations import faults
from isthmus.simulators.operations.environment import OperationsEnvironment
from isthmus.simulators.operations.odata import Call, OData, Reply, call_to

LARGEST_BATCH = 5000
BOUNDARY = re.compile(r'boundary="?([^";,\s]+)"?', re.IGNORECASE)
Part = tuple[str | None, Call]


def answer_batch(service: OData, environment: OperationsEnvironment, call: Call) -> Reply:
    """Carry out a batch, in order."""
    sets = [_requests(call, headers, text) for headers, text in _parts(call.headers, call.body.decode())]
    if sum(len(parts) for _, parts in sets) > LARGEST_BATCH:
        raise faults.invalid(f"The batch holds more than {LARGEST_BATCH} requests.")
    boundary, written = f"batchresponse_{environment.new_id()}", []
    for atomic, parts in sets:
        if atomic:
            inner = f"changesetresponse_{environment.new_id()}"
            answers = "".join(f"--{inner}\r\n{_write(*one)}" for one in _together(service, environment, parts))
            written.append(f"Content-Type: multipart/mixed; boundary={inner}\r\n\r\n{answers}--{inner}--\r\n")
        else:
            written += [_write(None, service.answer(part)) for _, part in parts]
    body = "".join(f"--{boundary}\r\n{part}" for part in written) + f"--{boundary}--\r\n"
    return Reply(200, {"Content-Type": f"multipart/mixed; boundary={boundary}"}, body.encode())


class _Failed(Exception):
    """Leaves a changeset: the name of the part that failed, and its answer."""

    def __init__(self, name: str | None, reply: Reply) -> None:
        super().__init__(name)
        self.part = (name, Reply(500, {}, reply.body))


def _together(service: OData, environment: OperationsEnvironment, parts: list[Part]) -> list[tuple[str | None, Reply]]:
    answered: list[tuple[str | None, Reply]] = []
    try:
        with environment.all_or_none():
            for name, part in parts:
                reply = service.answer(part)
                if reply.status >= 400:
                    raise _Failed(name, reply)
                answered.append((name, reply))
    except _Failed as failed:
        return [failed.part]
    return answered


def _requests(call: Call, headers: dict[str, str], text: str) -> tuple[bool, list[Part]]:
    """A part of the batch: a changeset, or one request."""
    if "multipart/mixed" in headers.get("content-type", ""):
        return True, [(own.get("content-id"), _request(call, inner)) for own, inner in _parts(headers, text)]
    return False, [(headers.get("content-id"), _request(call, text))]


def _request(call: Call, text: str) -> Call:
    line, _, rest = text.lstrip("\n").partition("\n")
    method, _, target = line.strip().partition(" ")
    headers, body = _headers(rest)
    target = re.sub(r" HTTP/\d\.\d$", "", target)
    full = target if "/data/" in target else f"/data/{target.lstrip('/')}"
    return call_to(method, call.base, full, headers, body.strip("\n").encode())


def _parts(headers: Mapping[str, str], body: str) -> list[tuple[dict[str, str], str]]:
    found = BOUNDARY.search(headers.get("content-type", ""))
    if found is None:
        raise faults.invalid("The batch request must have a multipart/mixed content type with a boundary.")
    pieces = re.split(rf"(?m)^--{re.escape(found[1])}(?:--)?[ \t]*$\n?", body.replace("\r\n", "\n"))
    return [_headers(piece.lstrip("\n")) for piece in pieces[1:-1] if piece.strip()]


def _headers(text: str) -> tuple[dict[str, str], str]:
    block, _, rest = ("", "", text[1:]) if text.startswith("\n") else text.partition("\n\n")
    pairs = (line.partition(":") for line in block.split("\n") if ":" in line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}, rest


def _write(content_id: str | None, reply: Reply) -> str:
    own = "Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"
    own += f"Content-ID: {content_id}\r\n" if content_id else ""
    headers = {"OData-Version": "4.0", **reply.headers}
    body = "" if reply.body is None else orjson.dumps(reply.body).decode()
    if body:
        headers["Content-Type"] = "application/json; odata.metadata=minimal; charset=utf-8"
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{own}\r\nHTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}\r\n{lines}\r\n{body}\r\n"
