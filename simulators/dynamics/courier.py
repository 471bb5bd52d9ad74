"""Delivers webhooks over HTTP: the timeout, the single second attempt, the record of what failed (dynamics.md §1.3).

Promises: asynchronous postings are delivered concurrently, so their order is not promised; one more attempt is made for
502, 503 and 504 only; every outgoing unit is finished, failed or not, before the environment counts as settled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import aiohttp

from isthmus.simulators.disorder import Dispatch
from isthmus.simulators.dynamics.environment import DynamicsEnvironment, Outgoing
from isthmus.simulators.dynamics.faults import Fault
from isthmus.simulators.dynamics.webhooks import Posting

TRIED_AGAIN = frozenset({502, 503, 504})
AT_ONCE = 32
DROPPED = "The webhook was not delivered."


class Undelivered(Exception):
    """The receiver did not answer 2xx in time; the message says what happened."""


class HttpCourier:
    """Delivers for one environment until closed."""

    def __init__(self, environment: DynamicsEnvironment, session: aiohttp.ClientSession) -> None:
        self._environment = environment
        self._session = session
        self._room = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._awake = False
        self._loop = asyncio.get_running_loop()

    def wake(self) -> None:
        """Empty the outbox in the loop's next round, so that what is written together is also shuffled together."""
        if not self._awake:
            self._awake = True
            self._loop.call_soon(self._collect)

    async def close(self) -> None:
        """Stop; what is under way is lost."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def post_now(self, postings: Sequence[Posting]) -> None:
        """Synchronous steps: in order, and the first failure is the caller's error."""
        for posting in postings:
            try:
                await self._attempt(posting)
            except Undelivered as failure:
                raise Fault(400, "0x80040265", f"The webhook call failed: {failure}") from failure

    def _collect(self) -> None:
        self._awake = False
        waiting: list[Posting] = []
        while self._environment.outbox:
            outgoing = self._environment.outbox.popleft()
            if outgoing.synchronous:
                self._start(self._in_turn(outgoing))
            else:
                waiting.extend(outgoing.asynchronous)
        for dispatch in self._environment.arrange(waiting):
            self._start(self._deliver(dispatch))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._environment.moved(+1)
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._environment.moved(-1)

    async def _in_turn(self, outgoing: Outgoing) -> None:
        """What a person wrote under synchronous steps: those first; their failure takes the write back."""
        posting = outgoing.synchronous[0]
        try:
            for posting in outgoing.synchronous:
                await self._attempt(posting)
            outgoing.commit()
        except (Undelivered, Fault) as failure:
            self._environment.refused.append((posting, str(failure)))
            return
        self._environment.send(Outgoing((), outgoing.asynchronous))

    async def _deliver(self, dispatch: Dispatch[Posting]) -> None:
        await asyncio.sleep(dispatch.delay)
        try:
            if dispatch.copies == 0:
                raise Undelivered(DROPPED)
            for _ in range(dispatch.copies):
                async with self._room:
                    await self._attempt(dispatch.posting)
        except Undelivered as failure:
            self._environment.record_failure(dispatch.posting, str(failure))

    async def _attempt(self, posting: Posting) -> None:
        status = await self._post(posting)
        if status in TRIED_AGAIN:
            status = await self._post(posting)
        if not 200 <= status < 300:
            raise Undelivered(f"the receiver answered {status}")

    async def _post(self, posting: Posting) -> int:
        timeout = aiohttp.ClientTimeout(total=self._environment.webhook_timeout)
        headers, url = dict(posting.headers), posting.step.url
        try:
            async with self._session.post(
                url, params=dict(posting.query), data=posting.body, headers=headers, timeout=timeout
            ) as response:
                await response.read()
                return response.status
        except TimeoutError:
            raise Undelivered("no answer in time") from None
        except (aiohttp.ClientError, OSError) as failure:
            raise Undelivered(f"no answer: {failure}") from failure
