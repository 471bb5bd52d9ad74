"""`$batch`: many Web API requests and answers in one body, to and from `multipart/mixed` (dynamics.md §3.4).

Promises: pure; what is written is CRLF throughout and takes any bytes; what is read may have LF alone, a preamble, more
or fewer blank lines and a boundary in quotes or not. A body that ends before its last boundary loses its last part,
which may be cut. The MIME structure is the standard library's; what is in a part, `application/http`, is read here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.errors import CloseBoundaryNotFoundDefect
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32

from isthmus.config.errors import DecodeError

BLANK_LINE = re.compile(rb"\r?\n\r?\n")
STATUS = re.compile(r"HTTP/\d\.\d (\d{3})\b.*")
REQUEST = re.compile(r"([A-Z]+) (\S+)(?: HTTP/\d\.\d)?\s*")


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """One request of a batch. `target` is a path from `/api/data/` or an absolute URL; `content_id` is needed in a
    changeset only, where `$1` stands for what request 1 wrote."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    content_id: str | None = None


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """One answer of a batch; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    content_id: str | None = None


# Requests side by side, or a changeset: all of it or nothing.
Requests = Sequence[BatchRequest | tuple[BatchRequest, ...]]
Answers = list[BatchAnswer | tuple[BatchAnswer, ...]]


# -- write


def encode(requests: Requests, boundary: str) -> tuple[str, bytes]:
    """The Content-Type and the body. `boundary` must not occur in any body: use chance."""
    parts = [
        _changeset(one, f"changeset_{number}_{boundary}") if isinstance(one, tuple) else _request(one)
        for number, one in enumerate(requests)
    ]
    return f'multipart/mixed; boundary="{boundary}"', _joined(parts, boundary)


def _joined(parts: Sequence[bytes], boundary: str) -> bytes:
    line = f"--{boundary}".encode()
    return b"".join(line + b"\r\n" + part + b"\r\n" for part in parts) + line + b"--\r\n"


def _changeset(requests: Sequence[BatchRequest], boundary: str) -> bytes:
    head = f'Content-Type: multipart/mixed; boundary="{boundary}"\r\n\r\n'.encode()
    return head + _joined([_request(one) for one in requests], boundary)


def _request(one: BatchRequest) -> bytes:
    own = {"Content-Type": "application/http", "Content-Transfer-Encoding": "binary"}
    if one.content_id is not None:
        own["Content-ID"] = one.content_id
    line = f"{one.method} {one.target} HTTP/1.1\r\n"
    return f"{_lines(own)}\r\n{line}{_lines(one.headers)}\r\n".encode() + one.body


def _lines(headers: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


# -- read


def decode(content_type: str, body: bytes) -> Answers:
    """The answers in order, a changeset's together; a changeset that failed is one answer. DecodeError for no batch."""
    return [
        tuple(_answer(part) for part in inner) if inner is not None else _answer(one)
        for one, inner in _parts(content_type, body)
    ]


def decode_requests(content_type: str, body: bytes) -> list[BatchRequest | tuple[BatchRequest, ...]]:
    """The requests of a batch, as `encode` takes them."""
    return [
        tuple(_asked(part) for part in inner) if inner is not None else _asked(one)
        for one, inner in _parts(content_type, body)
    ]


def _parts(content_type: str, body: bytes) -> list[tuple[Message, list[Message] | None]]:
    if "multipart/mixed" not in content_type.lower():
        raise DecodeError(f"{content_type!r} is no batch", place="Content-Type")
    whole = BytesParser(policy=compat32).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    return [(part, _whole_parts(part) if part.is_multipart() else None) for part in _whole_parts(whole)]


def _whole_parts(multipart: Message) -> list[Message]:
    parts = multipart.get_payload()
    if not isinstance(parts, list):
        raise DecodeError("has no parts")
    cut = any(isinstance(defect, CloseBoundaryNotFoundDefect) for defect in multipart.defects)
    return [part for part in (parts[:-1] if cut else parts) if isinstance(part, Message)]


def _answer(part: Message) -> BatchAnswer:
    line, headers, body = _http(part)
    status = STATUS.fullmatch(line)
    if status is None:
        raise DecodeError(f"{line[:80]!r} is no status line")
    return BatchAnswer(int(status[1]), {n.lower(): v for n, v in headers.items()}, body, part.get("Content-ID"))


def _asked(part: Message) -> BatchRequest:
    line, headers, body = _http(part)
    request = REQUEST.fullmatch(line)
    if request is None:
        raise DecodeError(f"{line[:80]!r} is no request line")
    return BatchRequest(request[1], request[2], headers, body, part.get("Content-ID"))


def _http(part: Message) -> tuple[str, dict[str, str], bytes]:
    """First line, headers and body of an `application/http` part."""
    held = part.get_payload(decode=True)
    head, *rest = BLANK_LINE.split((held if isinstance(held, bytes) else b"").lstrip(b"\r\n"), maxsplit=1)
    line, *fields = head.decode(errors="replace").splitlines() or [""]
    pairs = (one.partition(":") for one in fields if ":" in one)
    return line, {name.strip(): value.strip() for name, _, value in pairs}, b"".join(rest).strip(b"\r\n")
