"""HTTP and tokens: one login for all, one renewal after a refusal, the network's faults as ours, no secret told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from aiohttp import web

from isthmus.config.errors import AuthError, ConfigError, TransientError
from isthmus.systems.http import Answer, Http, Token, Tokens, call


class Api:
    """A server that takes one bearer token and remembers what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.good = "good"
        self.asked: list[tuple[str | None, str | None]] = []

    async def handle(self, request: web.Request) -> web.Response:
        bearer = request.headers.get("Authorization")
        self.asked.append((bearer, request.headers.get("X-Mark")))
        if request.path == "/away":
            raise web.HTTPFound("/elsewhere")
        return web.json_response({"ok": True}, status=200 if bearer == f"Bearer {self.good}" else 401)


@asynccontextmanager
async def serving(api: Api) -> AsyncIterator[Http]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "localhost", 0).start()
    api.url = f"http://localhost:{runner.addresses[0][1]}"
    http = Http()
    await http.open()
    try:
        yield http
    finally:
        await http.close()
        await runner.cleanup()


def logins(api: Api, values: list[str]) -> Tokens:
    """Tokens that log in to these values, one after another."""
    given = iter(values)

    async def login() -> Token:
        await asyncio.sleep(0)
        return Token(api.url, next(given))

    return Tokens(login)


async def test_many_callers_cause_one_login_and_one_renewal() -> None:
    api = Api()
    async with serving(api) as http:
        tokens = logins(api, ["stale", "good"])
        answers = await asyncio.gather(*(call(http, tokens, "GET", "/x") for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert (await tokens.current()).value == "good"


async def test_the_repeat_after_a_401_still_bears_our_headers() -> None:
    api = Api()
    async with serving(api) as http:
        await call(http, logins(api, ["stale", "good"]), "PATCH", "/x", headers={"X-Mark": "isthmus"})
    assert api.asked == [("Bearer stale", "isthmus"), ("Bearer good", "isthmus")]


async def test_a_second_refusal_is_the_callers() -> None:
    api = Api()
    async with serving(api) as http:
        answer = await call(http, logins(api, ["stale", "stale too"]), "GET", "/x")
    assert (answer.status, len(api.asked)) == (401, 2)


async def test_a_failed_login_fails_all_who_wait_and_is_tried_anew_by_the_next() -> None:
    tries = 0

    async def login() -> Token:
        nonlocal tries
        tries += 1
        await asyncio.sleep(0)
        if tries == 1:
            raise AuthError("no")
        return Token("http://localhost", "good")

    tokens = Tokens(login)
    first = await asyncio.gather(*(tokens.current() for _ in range(5)), return_exceptions=True)
    assert [type(fault) for fault in first] == [AuthError] * 5
    assert ((await tokens.current()).value, tries) == ("good", 2)


async def test_a_caller_that_gives_up_leaves_the_login_to_the_others() -> None:
    gate = asyncio.Event()

    async def login() -> Token:
        await gate.wait()
        return Token("http://localhost", "good")

    tokens = Tokens(login)
    one, other = asyncio.create_task(tokens.current()), asyncio.create_task(tokens.current())
    await asyncio.sleep(0)
    one.cancel()
    gate.set()
    assert (await other).value == "good"


async def test_a_late_refusal_of_an_old_token_does_not_touch_the_new_one() -> None:
    tokens = logins(Api(), ["old", "new", "one too many"])
    old = await tokens.current()
    tokens.refused(old)
    new = await tokens.current()
    tokens.refused(old)
    assert await tokens.current() is new


async def test_a_token_is_not_used_past_its_end() -> None:
    given = iter([Token("", "dead", expires_at=0.0), Token("", "alive")])

    async def login() -> Token:
        return next(given)

    tokens = Tokens(login)
    await tokens.current()
    assert (await tokens.current()).value == "alive"


async def test_nobody_there_is_transient() -> None:
    http = Http()
    await http.open()
    try:
        with pytest.raises(TransientError, match="localhost does not answer"):
            await http.request("GET", "http://localhost:1/?secret=hush")
    finally:
        await http.close()


async def test_the_address_asked_is_not_in_the_error() -> None:
    http = Http()
    await http.open()
    try:
        with pytest.raises(TransientError) as caught:
            await http.request("GET", "http://localhost:1/?secret=hush")
    finally:
        await http.close()
    assert "hush" not in str(caught.value)


async def test_a_redirect_is_not_followed_with_our_token() -> None:
    api = Api()
    async with serving(api) as http:
        answer = await call(http, logins(api, ["good"]), "GET", "/away")
    assert (answer.status, len(api.asked)) == (302, 1)


async def test_closing_twice_does_no_harm_and_a_closed_one_is_transient() -> None:
    http = Http()
    await http.open()
    await http.close()
    await http.close()
    with pytest.raises(TransientError):
        await http.request("GET", "http://localhost:1/")


async def test_certificates_that_are_not_there_are_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no certificates"):
        await Http(tmp_path / "none.pem").open()


@pytest.mark.parametrize(("told", "seconds"), [("7", 7.0), ("1.5", 1.5), ("-3", 0.0), ("soon", None), ("", None)])
def test_retry_after_is_seconds(told: str, seconds: float | None) -> None:
    assert Answer(429, {"retry-after": told}, b"").retry_after == seconds


def test_retry_after_may_be_a_date() -> None:
    told = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    waited = Answer(503, {"retry-after": told}, b"").retry_after
    assert waited is not None
    assert 50 < waited <= 60


def test_a_body_that_is_no_json_is_none() -> None:
    assert Answer(503, {}, b"<html>Down</html>").json() is None


def test_a_token_is_not_shown() -> None:
    assert "hush" not in repr(Token("http://localhost", "hush"))
