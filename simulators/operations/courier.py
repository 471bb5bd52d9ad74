"""Delivers events over HTTP: three attempts a second apart, then the error list (dynamics.md §5.1).

Promises: events are delivered concurrently, so their order is not promised; every one is finished, taken or not, before
the environment counts as settled.
"""

from __future__ import annotations

import asyncio

import aiohttp

from isthmus.simulators.disorder import Dispatch
from isthmus.simulators.operations.environment import OperationsEnvironment
from isthmus.simulators.operations.events import Posting

DEADLINE_SECONDS = 30.0


class HttpCourier:
    """Delivers for one environment until closed."""

    def __init__(self, environment: OperationsEnvironment, session: aiohttp.ClientSession) -> None:
        self._environment = environment
        self._session = session
        self._tasks: set[asyncio.Task[None]] = set()
        self._awake = False
        self._loop = asyncio.get_running_loop()

    def wake(self) -> None:
        """Empty the outbox in the loop's next round, so that what is raised together is also shuffled together."""
        if not self._awake:
            self._awake = True
            self._loop.call_soon(self._collect)

    async def close(self) -> None:
        """Stop; what is under way is lost."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _collect(self) -> None:
        self._awake = False
        waiting = [self._environment.outbox.popleft() for _ in range(len(self._environment.outbox))]
        for dispatch in self._environment.arrange(waiting):
            self._environment.moved(+1)
            task = self._loop.create_task(self._deliver(dispatch))
            self._tasks.add(task)
            task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._environment.moved(-1)

    async def _deliver(self, dispatch: Dispatch[Posting]) -> None:
        await asyncio.sleep(dispatch.delay)
        taken = [await self._attempts(dispatch.posting) for _ in range(dispatch.copies)]
        if not taken or not all(taken):
            self._environment.errors.append(dispatch.posting)

    async def _attempts(self, posting: Posting) -> bool:
        for attempt in range(self._environment.attempts):
            if attempt:
                await asyncio.sleep(self._environment.retry_wait)
            if await self._taken(posting):
                return True
        return False

    async def _taken(self, posting: Posting) -> bool:
        timeout = aiohttp.ClientTimeout(total=DEADLINE_SECONDS)
        headers = {"Content-Type": "application/json; charset=utf-8"}
        try:
            async with self._session.post(
                posting.endpoint.url, data=posting.body, headers=headers, timeout=timeout
            ) as response:
                await response.read()
                return 200 <= response.status < 300
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False
