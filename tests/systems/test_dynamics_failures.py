"""Every failure that dynamics.md documents, provoked in the simulated environment, and what the adapter makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from isthmus.config.errors import AuthError, ConflictError, PermanentError, PlatformError, TransientError
from isthmus.config.mapping import load_mappings
from isthmus.simulators.dynamics import DynamicsEnvironment, serve_dynamics
from isthmus.systems.dynamics.adapter import Dynamics, DynamicsConfig
from isthmus.systems.protocol import Write, Written

OBJECTS = load_mappings().objects("dynamics")
GONE = "11111111-2222-4333-8444-555555555555"

# dynamics.md §3.3 and §3.5: status, code, what it is to us.
DOCUMENTED: list[tuple[int, str, type[PlatformError]]] = [
    *((400, code, PermanentError) for code in ("0x80040203", "0x80044331", "0x80044330", "0x8004431A", "0x8004432F")),
    *((400, code, PermanentError) for code in ("0x80060890", "0x8004F01F", "0x80044410", "0x8004700C", "0x80041D33")),
    *((400, code, PermanentError) for code in ("0x80041D67", "0x80040800", "0x80040265")),
    *((403, code, PermanentError) for code in ("0x80040220", "0x80048306", "0x80042F09", "0x8004049E", "0x800404BB")),
    *((403, code, PermanentError) for code in ("0x80040256", "0x80040231", "0x80040276", "0x8004020D")),
    *((404, code, ConflictError) for code in ("0x80040217", "0x80060891")),
    *((405, code, PermanentError) for code in ("0x80040227", "0x8004023B", "0x80040315")),
    (412, "0x80060882", ConflictError),
    *((412, code, PermanentError) for code in ("0x80040237", "0x80060892", "0x80040333")),
    (413, "0x8004418A", PermanentError),
    *((429, code, TransientError) for code in ("0x80072322", "0x80072321", "0x80072326")),
    *((500, code, TransientError) for code in ("0x80040216", "0x80044150", "0x80044151")),
    *((status, "", TransientError) for status in (502, 503, 504)),
]


@pytest.fixture
def environment() -> DynamicsEnvironment:
    return DynamicsEnvironment(seed=7)


@pytest.fixture
async def dynamics(environment: DynamicsEnvironment) -> AsyncIterator[Dynamics]:
    async with serve_dynamics(environment) as served:
        system = Dynamics(config(environment, served.http_url), OBJECTS)
        await system.open()
        yield system
        await system.close()


def config(environment: DynamicsEnvironment, url: str) -> DynamicsConfig:
    return DynamicsConfig(url, url, environment.tenant, environment.client_id, environment.client_secret)


def writes(record_id: str, count: int) -> list[Write]:
    return [Write("account", f"k{n}", record_id if n == 0 else None, {"name": "b"}) for n in range(count)]


@pytest.mark.parametrize("count", [1, 3], ids=["single", "batch"])
@pytest.mark.parametrize(("status", "code", "kind"), DOCUMENTED)
async def test_a_write(
    dynamics: Dynamics, environment: DynamicsEnvironment, status: int, code: str, kind: type, count: int
) -> None:
    record_id = environment.create("account", {"name": "a"})
    environment.fail_next(1, status, code, retry_after=11 if kind is TransientError else None)
    told, *others = await dynamics.write(writes(record_id, count))
    assert type(told) is kind
    assert isinstance(told, PlatformError)
    assert told.code == (code.lower() or f"HTTP_{status}")
    assert told.retry_after == (11.0 if kind is TransientError else None)
    assert told.retryable == (kind is not PermanentError)
    assert environment.row("account", record_id)["name"] == "a"
    assert all(isinstance(one, Written) for one in others), "what befalls one write befalls no other"
    if kind is not PermanentError and kind is not ConflictError:
        (again,) = await dynamics.write(writes(record_id, 1))
        assert isinstance(again, Written)


@pytest.mark.parametrize(("status", "code", "kind"), [one for one in DOCUMENTED if one[0] not in (404, 412)])
async def test_a_read(dynamics: Dynamics, environment: DynamicsEnvironment, status: int, code: str, kind: type) -> None:
    record_id = environment.create("account", {"name": "a"})
    environment.fail_next(1, status, code, scope="reads")
    with pytest.raises(kind):
        await dynamics.read("account", [record_id])
    assert (await dynamics.read("account", [record_id]))[0].exists


@pytest.mark.parametrize(
    "code",
    ["0x8004A100", "0x8004A105", "0x80040204", "0x80044300", "0x80044302", "0x80044308", "0x80040277", "0x800404D2"],
)
async def test_a_refused_token_is_renewed_once(dynamics: Dynamics, environment: DynamicsEnvironment, code: str) -> None:
    environment.fail_next(1, 401, code)
    (told,) = await dynamics.write(writes(GONE, 2)[1:])
    assert isinstance(told, Written)
    environment.fail_next(2, 401, code)
    (told,) = await dynamics.write(writes(GONE, 2)[1:])
    assert isinstance(told, AuthError)


async def test_tokens_that_expire_under_a_batch_are_nobodys_trouble(
    dynamics: Dynamics, environment: DynamicsEnvironment
) -> None:
    environment.expire_tokens()
    told = await dynamics.write(writes(environment.create("account", {"name": "a"}), 3))
    assert all(isinstance(one, Written) for one in told)


async def test_another_rows_key_is_not_taken_for_another_version(
    dynamics: Dynamics, environment: DynamicsEnvironment
) -> None:
    """0x80060892 and 0x80060882 differ in one digit (dynamics.md §3.3)."""
    environment.create("account", {"name": "a", "isthmus_id": "taken"})
    other = environment.create("account", {"name": "b"})
    (told,) = await dynamics.write([Write("account", "x", other, {"isthmus_id": "taken"})])
    assert isinstance(told, PermanentError)
    assert (told.code, "link or merge" in told.hint) == ("0x80060892", True)


async def test_a_row_that_we_may_not_see_is_not_taken_for_a_deleted_one(
    dynamics: Dynamics, environment: DynamicsEnvironment
) -> None:
    seen, hidden, gone = (environment.create("account", {"name": name}) for name in "abc")
    environment.hidden.add(hidden)
    environment.delete("account", gone)
    rows = await dynamics.read("account", [seen, gone])
    assert [row.exists for row in rows] == [True, False]
    with pytest.raises(PermanentError, match="0x80040220") as caught:
        await dynamics.read("account", [seen, hidden, gone])
    assert "privilege" in caught.value.hint


async def test_a_write_whose_synchronous_step_failed_is_undone_and_permanent(
    dynamics: Dynamics, environment: DynamicsEnvironment
) -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=400)

    app = web.Application()
    app.router.add_post("/", refuse)
    record_id = environment.create("account", {"name": "a"})
    async with TestServer(app) as server:
        environment.register_webhook(str(server.make_url("/")), entities=["account"], mode="sync")
        told = await dynamics.write(writes(record_id, 2))
    assert [one.code for one in told if isinstance(one, PermanentError)] == ["0x80040265"] * 2
    assert [row["name"] for row in environment.rows("account").values()] == ["a"]


async def test_connections_that_are_cut_are_tried_again_without_harm(
    dynamics: Dynamics, environment: DynamicsEnvironment
) -> None:
    record_id = environment.create("account", {"name": "a"})
    for count in (1, 3):
        environment.lose_answers(1)
        told = await dynamics.write(writes(record_id, count))
        assert {one.code for one in told if isinstance(one, TransientError)} == {"NETWORK"}
    assert all(isinstance(one, Written) for one in await dynamics.write(writes(record_id, 3)))
    assert len(environment.rows("account")) == 3


# -- what stands between us and the platform


GATEWAY = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
BATCH = "multipart/mixed; boundary=batchresponse_1"
PART = b"--batchresponse_1\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 "
ONE = (
    PART
    + b'204 No Content\r\nOData-EntityId: https://o/a(22222222-2222-4333-8444-555555555555)\r\nETag: W/"9"\r\n\r\n\r\n'
)
CUT = PART + b'201 Created\r\n\r\n{"acc'


@pytest.mark.parametrize(
    ("status", "content_type", "body", "told"),
    [
        (502, "text/html", GATEWAY, ["HTTP_502"] * 3),
        (200, "text/html", GATEWAY, ["ANSWER"] * 3),
        (200, BATCH, ONE + CUT, ["written", "ANSWER", "ANSWER"]),
        (200, BATCH, ONE + ONE + b"--batchresponse_1--\r\n", ["written", "written", "ANSWER"]),
        (200, BATCH, PART + b"nonsense\r\n--batchresponse_1--\r\n", ["ANSWER"] * 3),
        (429, "application/json", b'{"error":{"code":"0x80072326","message":"52"}}', ["0x80072326"] * 3),
    ],
)
async def test_an_answer_that_is_not_whole_is_tried_again(
    environment: DynamicsEnvironment, status: int, content_type: str, body: bytes, told: list[str]
) -> None:
    async def token(request: web.Request) -> web.Response:
        return web.json_response({"access_token": "tok", "expires_in": 3599})

    async def batch(request: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers={"Content-Type": content_type})

    app = web.Application()
    app.router.add_post("/{tenant}/oauth2/v2.0/token", token)
    app.router.add_post("/api/data/v9.2/$batch", batch)
    async with TestServer(app, host="localhost") as server:
        system = Dynamics(config(environment, str(server.make_url("")).rstrip("/")), OBJECTS)
        await system.open()
        found = await system.write(writes(GONE, 3))
        await system.close()
    assert [one.code if isinstance(one, TransientError) else "written" for one in found] == told


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, {}, TransientError),
        (503, {"error": "temporarily_unavailable"}, TransientError),
        (401, {"error": "invalid_client", "error_description": "AADSTS7000222: expired"}, AuthError),
        (400, {"error": "unauthorized_client"}, AuthError),
        (200, {"no": "token"}, AuthError),
        (200, [], AuthError),
    ],
)
async def test_a_login_that_fails(environment: DynamicsEnvironment, status: int, body: Any, kind: type) -> None:
    async def token(request: web.Request) -> web.Response:
        return web.json_response(body, status=status, headers={"Retry-After": "3"})

    app = web.Application()
    app.router.add_post("/{tenant}/oauth2/v2.0/token", token)
    async with TestServer(app, host="localhost") as server:
        system = Dynamics(config(environment, str(server.make_url("")).rstrip("/")), OBJECTS)
        with pytest.raises(kind) as caught:
            await system.open()
        await system.close()
    assert environment.client_secret not in str(caught.value)
    if kind is TransientError:
        assert caught.value.retry_after == 3.0


async def test_many_callers_share_the_limit_on_what_goes_at_once(
    dynamics: Dynamics, environment: DynamicsEnvironment
) -> None:
    environment.limits.at_once = 20
    made = environment.create("account", {"name": "a"})
    rows = await asyncio.gather(*(dynamics.read("account", [made]) for _ in range(100)))
    assert len(rows) == 100
    assert environment.limits.refusals == {}, "never more at once than the platform takes"
