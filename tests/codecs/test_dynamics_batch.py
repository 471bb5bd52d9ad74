"""`$batch` bodies as they are written here, and as others write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.codecs.dynamics_batch import BatchAnswer, BatchRequest, decode, decode_requests, encode
from isthmus.config.errors import DecodeError

SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "dynamics"
ONE = BatchRequest("PATCH", "/api/data/v9.2/accounts(1)", {"If-Match": "*"}, b'{"name":"\xc3\x84\\r\\n--x"}')
TWO = BatchRequest("GET", "https://localhost/api/data/v9.2/accounts?$select=name")
SET = (
    BatchRequest("POST", "/api/data/v9.2/tasks", {"Content-Type": "application/json"}, b'{"a":1}', "1"),
    BatchRequest("PATCH", "$1", {}, b"{}", "2"),
)
ANSWERS = """\
--batchresponse_1
Content-Type: multipart/mixed; boundary=changesetresponse_2

--changesetresponse_2
Content-Type: application/http
Content-Transfer-Encoding: binary
Content-ID: 1

HTTP/1.1 204 No Content
OData-EntityId: https://o/api/data/v9.2/tasks(1)


--changesetresponse_2
Content-Type: application/http
Content-Transfer-Encoding: binary
Content-ID: 2

HTTP/1.1 201 Created
ETag: W/"7"

{"a":1}
--changesetresponse_2--
--batchresponse_1
Content-Type: application/http
Content-Transfer-Encoding: binary

HTTP/1.1 429 Too Many Requests
Retry-After: 9
Content-Type: application/json; odata.metadata=minimal

{"error":{"code":"0x80072322","message":"Number\\nof"}}
--batchresponse_1--
"""


def told(body: bytes, content_type: str = "multipart/mixed; boundary=batchresponse_1") -> list[object]:
    return [
        tuple((one.status, one.body, one.content_id) for one in part)
        if isinstance(part, tuple)
        else (part.status, part.body, part.headers.get("retry-after"))
        for part in decode(content_type, body)
    ]


WANTED = [
    ((204, b"", "1"), (201, b'{"a":1}', "2")),
    (429, b'{"error":{"code":"0x80072322","message":"Number\\nof"}}', "9"),
]


def test_what_is_written_is_read_as_it_was() -> None:
    content_type, body = encode([ONE, SET, TWO], "batch_1")
    assert decode_requests(content_type, body) == [ONE, SET, TWO]
    assert b"\n" not in body.replace(b"\r\n", b"")


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n")).map(str.encode), max_size=5)
)
def test_any_body_comes_back(bodies: list[bytes]) -> None:
    asked = [BatchRequest("POST", "/api/data/v9.2/a", {}, body) for body in bodies]
    assert not asked or decode_requests(*encode(asked, "batch_9f2c")) == asked


@pytest.mark.parametrize("newline", ["\r\n", "\n"])
@pytest.mark.parametrize("preamble", ["", "\n", "\n\npreamble\n"])
@pytest.mark.parametrize("boundary", ["batchresponse_1", '"batchresponse_1"'])
def test_answers_are_read_whoever_wrote_them(newline: str, preamble: str, boundary: str) -> None:
    body = (preamble + ANSWERS).replace("\n", newline).encode()
    assert told(body, f"multipart/mixed; boundary={boundary}") == WANTED


def test_one_blank_line_more_or_less_is_nothing() -> None:
    assert told(ANSWERS.replace("tasks(1)\n\n\n", "tasks(1)\n").encode()) == WANTED
    assert told(ANSWERS.replace("binary\n\nHTTP", "binary\n\n\n\nHTTP").encode()) == WANTED


def test_a_body_that_ends_too_soon_loses_the_part_that_may_be_cut() -> None:
    whole = ANSWERS.encode()
    assert told(whole[: whole.index(b'"0x8007')]) == WANTED[:1]
    assert told(whole[: whole.index(b"HTTP/1.1 204")]) == []


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/mixed; boundary=x", b"--x\r\nContent-Type: application/http\r\n\r\nnonsense\r\n--x--\r\n"),
        ("multipart/mixed", b"--x--"),
    ],
)
def test_what_is_no_batch_is_a_decode_error(content_type: str, body: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(content_type, body)


SAMPLED = sorted(SAMPLES.glob("*batch*.http"))


@pytest.mark.skipif(not SAMPLED, reason="the captured samples are not here")
@pytest.mark.parametrize("file", SAMPLED, ids=lambda file: file.name)
def test_the_captured_batches_survive_a_round_trip(file: Path) -> None:
    head, body = file.read_bytes().replace(b"\r\n", b"\n").split(b"\n\n", maxsplit=1)
    headers = dict(line.split(": ", 1) for line in head.decode().splitlines()[1:] if ": " in line)
    mark = body.lstrip(b"\n").split(b"\n", 1)[0].removeprefix(b"--").decode()
    content_type = headers.get("Content-Type", f"multipart/mixed; boundary={mark}")
    if head.startswith(b"HTTP/"):
        answers = decode(content_type, body)
        flat = [one for part in answers for one in ([part] if isinstance(part, BatchAnswer) else part)]
        assert len(flat) == body.count(b"\nHTTP/1.1 ")
        return
    asked = decode_requests(content_type, body)
    assert sum(len(one) if isinstance(one, tuple) else 1 for one in asked) == body.count(b" HTTP/1.1")
    assert decode_requests(*encode(asked, "batch_again")) == asked
