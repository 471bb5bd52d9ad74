"""A Salesforce org: its records and news, who may come in, what administrators set, and the trouble that it makes. No I/O.

Promises: those of people.py and news.py; what an administrator sets holds at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from isthmus.simulators.outage import Outage
from isthmus.simulators.salesforce.events import channel_of
from isthmus.simulators.salesforce.faults import Faults
from isthmus.simulators.salesforce.ids import to18
from isthmus.simulators.salesforce.people import People
from isthmus.simulators.salesforce.schema import STANDARD_OBJECTS, Field, Object

STANDARD = "ChangeEvents"


class SalesforceOrg(People):
    """One org. `outage`: trouble at its edge while it is served."""

    def __init__(
        self,
        *,
        seed: int = 1,
        client_id: str = "isthmus-client",
        client_secret: str = "isthmus-secret",
        username: str = "integration@example.com",
        password: str = "password",
        objects: Iterable[Object] = STANDARD_OBJECTS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(objects, seed, clock)
        self.client_id, self.client_secret = client_id, client_secret
        self.username, self.password = username, password
        self.org_id = to18("00D5g0000000001")
        self.outage = Outage()
        # Custom channels: their entities, each with the fields it is enriched by. Entities that the API's user may not
        # see all of.
        self.channels: dict[str, dict[str, tuple[str, ...]]] = {}
        self.unseen: set[str] = set()
        self.forget_clients: Callable[[], None] = lambda: None
        self.tokens: set[str] = set()
        self.logins = 0
        self.public_key = ""
        self.run_as: str | None = username
        self.instance_url: str | None = None
        self.versions: Iterable[int] = range(45, 67)
        # How the APIs behave: rows a page at most (0: as many as are asked for), looks until a bulk job is done, seconds
        # by which getUpdated lags, and whether batch APIs pass a caller's name on.
        self.page_rows, self.job_looks, self.covered_lag, self.names_batches = 0, 1, 0.0, True
        # Calls that came, and how many a day may have; what came long ago is never forgotten here.
        self.requests, self.daily_requests = 0, 5_000_000
        self.faults = Faults()
        for one in self.objects.values():
            if one.tracked:
                self.select(one.name)

    # -- what administrators do

    def add_field(self, object: str, field: Field, *, hidden: bool = False) -> None:
        """Make a custom field; `hidden`: until a permission set shows it."""
        one = self.objects[object]
        self.objects[object] = replace(one, fields={**one.fields, field.name: field})
        self.store.add_field(object, field)
        if hidden:
            self.hidden.add((object, field.name))

    def select(self, object: str, channel: str = STANDARD) -> str:
        """Tell of an object's changes from now on; the id of its membership."""
        self.selected.add(object)
        if channel != STANDARD:
            self.channels[f"/data/{channel}"][object] = self.channels[f"/data/{channel}"].get(object, ())
        event = channel_of(object).rpartition("/")[2]
        return self.create("PlatformEventChannelMember", {"SelectedEntity": event, "EventChannel": channel})

    def add_channel(self, name: str) -> str:
        """Make a custom channel, `…__chn`; the id of it."""
        self.channels[f"/data/{name}"] = {}
        told = {"DeveloperName": name.removesuffix("__chn"), "ChannelType": "data", "MasterLabel": name}
        return self.create("PlatformEventChannel", told)

    def carry(self, channel: str, enriched: Mapping[str, tuple[str, ...]]) -> None:
        """A custom channel, `/data/…__chn`, with these objects, each enriched by these fields."""
        self.add_channel(channel.removeprefix("/data/"))
        self.channels[channel] = dict(enriched)
        for object in enriched:
            self.select(object, channel.removeprefix("/data/"))

    def purge(self, object: str, record_id: str) -> None:
        """Out of the recycle bin, for ever; no event tells of it (salesforce.md §1.8)."""
        self._purged[object][to18(record_id)] = self._bin[object].pop(to18(record_id))["SystemModstamp"]

    # -- trouble

    def fail_next(self, number: int, status: int, body: Any, retry_after: float | None = None) -> None:
        """The next REST writes are answered with this."""
        self.faults.fail(number, status, body, retry_after, writes=True)

    def lock(self, *ids: str) -> None:
        """Someone else holds these rows until `recover`."""
        self.faults.lock(ids)

    def roll_back(self, number: int = 1) -> None:
        """The next writes are carried out and then taken back, with all that they told."""
        self.faults.roll_back(number)

    def recover(self) -> None:
        """Forget the failures that are still to come, and who holds rows."""
        self.faults.recover()

    def expire_tokens(self) -> None:
        """Every session ends: 401 INVALID_SESSION_ID."""
        self.tokens.clear()
