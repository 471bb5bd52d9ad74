"""What an org tells of its changes: transactions, events with their replay ids, and how long those are kept.

Promises: every change of a record that is selected is told, our own included, so an echo is real; a seed gives the same
replay ids and transaction keys; events stay for replay until they are made to expire.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from isthmus.simulators.salesforce.events import Event, Transaction, body, event_name, header
from isthmus.simulators.salesforce.ids import to18
from isthmus.simulators.salesforce.schema import Object

UI = "com/salesforce/api/soap/60.0;client=SfdcInternalAPI/"
BROWSER_USER = "0055g00000UserAAAA"


class News:
    """The org's events. Every n-th is delivered twice (`duplicate_every`) or to nobody (`drop_every`), 0 is never;
    `gap_next` hides the next change of records, `hold` what is told until it is let go, late and in any order."""

    def __init__(self, seed: int, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.events: list[Event] = []
        self.duplicate_every = 0
        self.drop_every = 0
        self.on_event: Callable[[], None] = lambda: None
        self.selected: set[str] = set()
        self.oldest_replay = 0
        self._chance = random.Random(seed)
        self._replay = 1000
        self._commits = 70_000_000_000
        self._raised = 0
        self._held: list[Event] | None = None
        self._disorder = random.Random(f"disorder/{seed}")
        self._gaps: set[tuple[str, str]] = set()

    def transaction(self, user: str = BROWSER_USER, origin: str = UI) -> Transaction:
        """A transaction of now."""
        self._commits += self._chance.randint(1, 900)
        key = "-".join(f"{self._chance.getrandbits(bits):0{bits // 4}x}" for bits in (32, 16, 16, 16, 48))
        return Transaction(key, self._commits, int(self.clock() * 1000), to18(user[:15]), origin)

    def publish(self, one: Object, payload: Mapping[str, Any]) -> None:
        """Put an event on the bus."""
        self._replay += self._chance.randint(1, 5)
        message = {"schema": f"sim-{one.name}", "payload": payload, "event": {"replayId": self._replay}}
        event = Event(self._replay, one.name, message)
        self._raised += 1
        dropped = self.drop_every and self._raised % self.drop_every == 0
        twice = self.duplicate_every and self._raised % self.duplicate_every == 0
        self._deliver([] if dropped else [event, event] if twice else [event])

    def hold(self) -> None:
        """What is told from now on comes late."""
        self._held = self._held or []

    def let_go(self, *, shuffle: bool = False) -> None:
        """What was held up comes now; with `shuffle` in any order."""
        held, self._held = self._held or [], None
        if shuffle:
            self._disorder.shuffle(held)
        self._deliver(held)

    def gap_next(self, object: str, ids: Iterable[str]) -> None:
        """The next change of these records is told as a GAP_* event, without its body."""
        self._gaps |= {(object, to18(one)) for one in ids}

    def redeliver(self, last: int = 1) -> None:
        """The last events come again, with the same replay ids."""
        self.events += self.events[-last:]
        self.on_event()

    def expire_replay(self) -> None:
        """Everything told so far is out of retention."""
        self.oldest_replay = self._replay
        self.events.clear()

    # -- inside

    def _deliver(self, events: list[Event]) -> None:
        if self._held is not None:
            self._held += events
        elif events:
            self.events += events
            self.on_event()

    def _told(self) -> tuple[int, int]:
        return len(self.events), len(self._held or [])

    def _untell(self, told: tuple[int, int]) -> None:
        del self.events[told[0] :]
        del (self._held or [])[told[1] :]

    def _raise(
        self, one: Object, record_id: str, kind: str, transaction: Transaction, values: Mapping[str, Any]
    ) -> None:
        if one.name not in self.selected:
            return
        if (one.name, record_id) in self._gaps:
            self._gaps.discard((one.name, record_id))
            kind, values = f"GAP_{kind}", {}
        named = [event_name(one, name) for name in values] if kind == "UPDATE" else []
        head = header(one, [record_id], kind, transaction, 1, named)
        self.publish(one, {**body(one, {n: v for n, v in values.items() if n != "Id"}), "ChangeEventHeader": head})
