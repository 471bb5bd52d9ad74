"""The proof: what a node holds and has published, against the oracle and against a replay of its own record.

Promises: looks from outside, at the topics and the HTTP API; says of every difference what it is: lost (it should be
there), duplicated (it is there twice), wrong (another golden value or link) or unexplained (nothing accounts for it).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from chaos.generator import MAPPINGS
from chaos.oracle import Native, Written
from chaos.replay import Node, differences
from chaos.run import Run
from chaos.topics import PARTITIONS, Read, committed
from isthmus.tables.golden import Golden
from isthmus.tables.identity import canonical_id

AT_ONCE = 32
TRIES = 10
SAID_EVERY = 10_000


@dataclass
class Findings:
    """How many of each kind, and some of them in words."""

    lost: int = 0
    wrong: int = 0
    duplicated: int = 0
    unexplained: int = 0
    words: list[str] = field(default_factory=list)

    def note(self, kind: str, number: int, what: str) -> None:
        """Count; nothing where the number is zero."""
        if number:
            setattr(self, kind, getattr(self, kind) + number)
            self.words.append(f"{kind} {number}: {what}")

    def counted(self) -> dict[str, int]:
        """The numbers by kind."""
        return {kind: getattr(self, kind) for kind in ("lost", "wrong", "duplicated", "unexplained")}


async def prove(run: Run, truth: Written) -> Findings:
    """Look at everything; the run is settled and its workers still answer."""
    found = Findings()
    _ledger(run, truth, found)
    run.say("proof: events against a replay")
    await events(Node(run.bootstrap, run.namespace), found)
    await dead(run, found)
    run.say("proof: golden records and links against the oracle")
    await _golden(run, truth, found)
    return found


# -- the books


def _ledger(run: Run, truth: Written, found: Findings) -> None:
    books = run.ledger
    found.note("unexplained", not books.get("balanced"), f"the books do not balance: {books}")
    for subject, wanted in truth.received.items():
        line = books.get("subjects", {}).get(subject, {})
        counted = line.get("received", 0) - line.get("reread", 0)
        found.note("lost", max(0, wanted - counted), f"changes of {subject} were not received")
        found.note("duplicated", max(0, counted - wanted), f"changes of {subject} were received again")


# -- the events


async def events(node: Node, found: Findings) -> None:
    """Is what was published just what a replay of merge's input publishes?"""
    for one in await differences(node):
        found.note("lost", max(0, one.expected - one.published), one.words)
        kind = "duplicated" if one.expected else "unexplained"
        found.note(kind, max(0, one.published - one.expected), one.words)


# -- the dead letters


async def dead(run: Run, found: Findings) -> None:
    """Is there a dead letter for each stranger's record, and no other?"""
    waiting = dict(run.injected)
    for record in await asyncio.to_thread(_letters, run):
        place = _place(orjson.loads(record.value), run.injected)
        waiting.pop(place or "", None)
        found.note("unexplained", place is None, f"dead letter {record.value[:300]!r}")
    found.note("lost", len(waiting), f"no dead letter for {waiting}")


def _letters(run: Run) -> list[Read]:
    topic = f"{run.namespace}dead"
    return [record for number in range(PARTITIONS) for record in committed(run.bootstrap, topic, number)]


def _place(letter: dict[str, Any], injected: Mapping[str, str]) -> str | None:
    """The stranger's record that a letter is about; None where it is about none."""
    text = str(letter["original"])
    if letter["encoding"] == "base64":
        text = base64.b64decode(text).decode(errors="replace")
    named = (place for place, token in injected.items() if token in text or letter["context"].get("at") == place)
    return next(named, None)


# -- golden records and links


async def _golden(run: Run, truth: Written, found: Findings) -> None:
    async with contextlib.AsyncExitStack() as stack:
        sessions = [await stack.enter_async_context(aiohttp.ClientSession(base_url=hand.url)) for hand in run.running]
        if None in [await _ask(session, "/health/live") for session in sessions]:
            found.note("lost", 1, "all golden records, perhaps: not everybody answers")
            return
        goldens = _said(run, truth.golden())
        # All of them take from the same iterator.
        await asyncio.gather(*(_check(sessions[one % len(sessions)], goldens, found) for one in range(AT_ONCE)))


def _said(run: Run, goldens: Iterable[Golden]) -> Iterable[Golden]:
    for number, golden in enumerate(goldens, 1):
        if number % SAID_EVERY == 0:
            run.say(f"  {number} golden records")
        yield golden


async def _check(session: aiohttp.ClientSession, goldens: Iterable[Golden], found: Findings) -> None:
    for golden in goldens:
        for problem in await _problems(session, golden):
            found.note("wrong", 1, problem)


async def _problems(session: aiohttp.ClientSession, golden: Golden) -> list[str]:
    """What differs; the ids of golden records may, since they are named after whoever came first."""
    natives = [(system, native) for system, held in golden.links.items() for native in held]
    heard = [native for native in natives if golden.registers.get(native[0], {}).get(native[1])]
    names = {native: await _name(session, native) for native in heard}
    if len(set(names.values())) != 1 or None in names.values():
        return [f"{golden.entity} of {natives}: its records are {names}"]
    canonical = next(iter(names.values()))
    shown = await _ask(session, f"/v1/golden/{golden.entity}/{canonical}")
    if shown is None:
        return [f"{golden.entity} {canonical} is not there"]
    fields = golden.values()
    wrong = {name: (shown["fields"].get(name), value) for name, value in fields.items()}
    wrong = {name: pair for name, pair in wrong.items() if pair[0] != pair[1]}
    for name, to in MAPPINGS.entities[golden.entity].references.items():
        if name in wrong and await _is(session, to, *wrong[name]):
            del wrong[name]
    problems = [f"{golden.entity} {canonical}: {wrong} (is, should be)"] if wrong else []
    if shown["links"] != golden.links:
        problems.append(f"{golden.entity} {canonical}: links {shown['links']}, not {golden.links}")
    return problems


async def _is(session: aiohttp.ClientSession, entity: str, canonical: str | None, wanted: Any) -> bool:
    """Is it the golden record that the oracle calls so, which is named after one of its records?"""
    shown = None if canonical is None else await _ask(session, f"/v1/golden/{entity}/{canonical}")
    links = shown["links"] if shown else {}
    return any(canonical_id(system, native) == wanted for system, held in links.items() for native in held)


async def _name(session: aiohttp.ClientSession, native: Native) -> str | None:
    told = await _ask(session, f"/v1/xref/{native[0]}/{native[1]}")
    return None if told is None else str(told["canonical"])


async def _ask(session: aiohttp.ClientSession, path: str) -> dict[str, Any] | None:
    """The answer; None where there is none or nobody gives one."""
    for _ in range(TRIES):
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with session.get(path) as response:
                if response.status == 404:
                    return None
                if response.status == 200:
                    body: dict[str, Any] = await response.json()
                    return body
        await asyncio.sleep(0.2)
    return None
