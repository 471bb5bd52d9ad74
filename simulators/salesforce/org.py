"""A Salesforce org in memory: rows, what people and programs do to them, and the change events of it. No I/O.

Promises: every write raises the change event that the real org would, our own included, so an echo is real; a seed gives
the same ids and transaction keys; events stay for replay until they are made to expire.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from isthmus.simulators.outage import Outage
from isthmus.simulators.salesforce import differences
from isthmus.simulators.salesforce.events import Event, Transaction, body, channel_of, event_name, header
from isthmus.simulators.salesforce.faults import Faults, refused
from isthmus.simulators.salesforce.ids import numbered, to18
from isthmus.simulators.salesforce.rules import stored, validate
from isthmus.simulators.salesforce.schema import STANDARD_OBJECTS, Field, Object
from isthmus.simulators.salesforce.store import Row, Store

UI = "com/salesforce/api/soap/60.0;client=SfdcInternalAPI/"
BROWSER_USER = "0055g00000UserAAAA"
STANDARD = "ChangeEvents"
API_USER = "0055g00000ApiUserA"


class SalesforceOrg:
    """One org. `duplicate_every`: every n-th event is delivered twice; `gap_next` hides the next change of records;
    `outage`: trouble at its edge while it is served."""

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
        self.client_id, self.client_secret = client_id, client_secret
        self.username, self.password = username, password
        self.objects = {one.name: one for one in objects}
        self.org_id = to18("00D5g0000000001")
        self.user_id = to18(API_USER[:15])
        self.events: list[Event] = []
        self.duplicate_every = 0
        self.outage = Outage()
        # Custom channels: their entities, each with the fields it is enriched by. Entities that the API's user may not
        # see all of.
        self.channels: dict[str, dict[str, tuple[str, ...]]] = {}
        self.unseen: set[str] = set()
        self.on_event: Callable[[], None] = lambda: None
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
        self.selected: set[str] = set()
        self.hidden: set[tuple[str, str]] = set()
        self.oldest_replay = 0
        self.requests = 0
        self._chance = random.Random(seed)
        self.clock = clock
        self._purged: dict[str, dict[str, str]] = {name: {} for name in self.objects}
        self.faults = Faults()
        self.store = Store(self.objects)
        self._rows = {name: self.store.live(name) for name in self.objects}
        self._bin = {name: self.store.bin(name) for name in self.objects}
        self._ids = 0
        self._replay = 1000
        self._commits = 70_000_000_000
        self._raised = 0
        self._gaps: set[tuple[str, str]] = set()
        for one in self.objects.values():
            if one.tracked:
                self.select(one.name)

    # -- what people do

    def create(self, object: str, fields: Mapping[str, Any], *, user: str = BROWSER_USER, origin: str = UI) -> str:
        """A new record; its id."""
        one = self.object(object)
        validate(one, fields, creating=True)
        now = self._now()
        row: Row = dict.fromkeys(one.fields)
        row.update({name: stored(value) for name, value in fields.items()})
        row |= {"Id": self._new_id(one), "CreatedDate": now, "CreatedById": to18(user[:15])}
        row |= {"LastModifiedDate": now, "LastModifiedById": to18(user[:15]), "SystemModstamp": now}
        self._rows[object][row["Id"]] = row
        if object in ("PermissionSetAssignment", "FieldPermissions"):
            self._show()
        self._raise(one, row["Id"], "CREATE", self._transaction(user, origin), self._filled(row))
        return str(row["Id"])

    def update(
        self, object: str, record_id: str, fields: Mapping[str, Any], *, user: str = BROWSER_USER, origin: str = UI
    ) -> None:
        """Change fields; None clears. Where nothing differs only LastModifiedDate moves."""
        one, row = self.object(object), self.row(object, record_id)
        validate(one, fields, creating=False)
        changed = {n: stored(v) for n, v in fields.items() if stored(v) != row[n]}
        now, modifier = self._now(), to18(user[:15])
        extra: Row = {"LastModifiedDate": now}
        if row["LastModifiedById"] != modifier:
            extra["LastModifiedById"] = modifier
        self._rows[object][row["Id"]] = row | changed | extra | {"SystemModstamp": now}
        told = {name: differences.told(row[name], value) for name, value in changed.items()}
        self._raise(one, row["Id"], "UPDATE", self._transaction(user, origin), told | extra)

    def delete(self, object: str, record_id: str, *, user: str = BROWSER_USER, origin: str = UI) -> None:
        """Into the recycle bin, with what belongs to it."""
        one, row = self.object(object), self.row(object, record_id)
        for child, key in self._belonging(object, row["Id"], self._rows):
            self.delete(child, key, user=user, origin=origin)
        self._bin[object][row["Id"]] = self._rows[object].pop(row["Id"]) | {"SystemModstamp": self._now()}
        self._raise(one, row["Id"], "DELETE", self._transaction(user, origin), {})

    def merge(
        self, object: str, winner: str, losers: Sequence[str], *, user: str = BROWSER_USER, origin: str = UI
    ) -> None:
        """Merge at most two records into another, as people do in the browser: each loser goes into the recycle bin with
        its master, children come to the winner; all that is told is DELETE of each loser and UPDATE of the winner, in one
        transaction (salesforce.md §1.12)."""
        one, master, now = self.object(object), self.row(object, winner)["Id"], self._now()
        rows, transaction = [self.row(object, loser) for loser in losers], self._transaction(user, origin)
        for row in rows:
            for other, child in self.objects.items():
                for name in (n for n, field in child.fields.items() if field.refers_to == object):
                    for key in self._rows[other].having(name, row["Id"]):
                        self._rows[other][key] = self._rows[other][key] | {name: master, "SystemModstamp": now}
            gone = self._rows[object].pop(row["Id"])
            self._bin[object][row["Id"]] = gone | {"SystemModstamp": now, "MasterRecordId": master}
            self._raise(one, row["Id"], "DELETE", transaction, {})
        self._rows[object][master] = self._rows[object][master] | {"LastModifiedDate": now, "SystemModstamp": now}
        self._raise(one, master, "UPDATE", transaction, {"LastModifiedDate": now})

    def undelete(self, object: str, record_id: str, *, user: str = BROWSER_USER, origin: str = UI) -> None:
        """Out of it again."""
        one, key = self.object(object), to18(record_id)
        if key not in self._bin[object]:
            raise refused(404, "UNDELETE_FAILED", "entity is not in the recycle bin")
        row = self._rows[object][key] = self._bin[object].pop(key) | {"SystemModstamp": self._now()}
        self._raise(one, key, "UNDELETE", self._transaction(user, origin), self._filled(row))
        for child, its in self._belonging(object, key, self._bin):
            self.undelete(child, its, user=user, origin=origin)

    def _belonging(self, object: str, key: str, where: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Records, with their objects, that are deleted and undeleted with this one."""
        return [
            (child.name, str(row["Id"]))
            for child in self.objects.values()
            for field in child.fields.values()
            if field.cascades and field.refers_to == object
            for row in where[child.name].whole().values()
            if row[field.name] == key
        ]

    def rows(self, object: str) -> dict[str, Row]:
        """The live rows by id."""
        return self._rows[object].whole()

    def deleted(self, object: str) -> dict[str, Row]:
        """The recycle bin by id; SystemModstamp is when a row went there."""
        return self._bin[object].whole()

    def ids(self, object: str) -> list[str]:
        """The ids of the live rows, oldest first."""
        return list(self._rows[object])

    # -- what REST needs

    def object(self, name: str) -> Object:
        """An object by its name, with the fields that may be seen; 404 as REST answers."""
        if name not in self.objects:
            raise refused(404, "NOT_FOUND", "The requested resource does not exist")
        one = self.objects[name]
        hidden = {field for of, field in self.hidden if of == name}
        return replace(one, fields={n: f for n, f in one.fields.items() if n not in hidden}) if hidden else one

    def object_of(self, record_id: str) -> str:
        """The object whose key prefix an id has; 400 MALFORMED_ID."""
        for one in self.objects.values():
            if record_id.startswith(one.prefix) and len(record_id) in (15, 18):
                return one.name
        raise refused(400, "MALFORMED_ID", f"malformed id {record_id}")

    def row(self, object: str, record_id: str) -> Row:
        """A live row; 404 as REST answers."""
        key = to18(record_id)
        if len(key) != 18 or not key.isalnum():
            raise refused(400, "MALFORMED_ID", f"{object} ID: id value of incorrect type: {record_id}", ("Id",))
        if key in self._bin[object]:
            raise refused(404, "ENTITY_IS_DELETED", "entity is deleted")
        if key not in self._rows[object]:
            raise refused(404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible")
        return self._rows[object][key]

    def matching(self, object: str, field: str, value: str) -> list[str]:
        """Ids of the rows whose external id is this."""
        spec = self.object(object).fields.get(field)
        if spec is None or not spec.external_id:
            raise refused(404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible")
        return self._rows[object].having(field, value)

    def matching_any(self, object: str, field: str, value: Any) -> list[str]:
        """Ids of the rows with this value in any field."""
        return self._rows[object].having(field, value)

    def deletions(self, object: str) -> dict[str, str]:
        """When each deleted row was deleted, purged ones too."""
        self.object(object)
        found = {record_id: row["SystemModstamp"] for record_id, row in self._bin[object].whole().items()}
        return self._purged[object] | found

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

    def _show(self) -> None:
        """Fields become visible by the permissions of the sets that the API's user has."""
        assigned = self._rows["PermissionSetAssignment"].whole().values()
        sets = {row["PermissionSetId"] for row in assigned if row["AssigneeId"] == self.user_id}
        for row in self._rows["FieldPermissions"].whole().values():
            if row["ParentId"] in sets and row["PermissionsRead"]:
                self.hidden.discard((row["SobjectType"], row["Field"].partition(".")[2]))

    @contextlib.contextmanager
    def all_or_none(self) -> Iterator[None]:
        """What is written inside is undone, its events too, where an exception leaves it."""
        told = len(self.events)
        try:
            with self.store.all_or_none():
                yield
        except BaseException:
            del self.events[told:]
            raise

    # -- trouble

    def fail_next(self, number: int, status: int, body: Any, retry_after: float | None = None) -> None:
        """The next REST writes are answered with this."""
        self.faults.fail(number, status, body, retry_after, writes=True)

    def recover(self) -> None:
        """Forget the failures that are still to come."""
        self.faults.recover()

    def gap_next(self, object: str, ids: Iterable[str]) -> None:
        """The next change of these records is told as a GAP_* event, without its body."""
        self._gaps |= {(object, to18(one)) for one in ids}

    def redeliver(self, last: int = 1) -> None:
        """The last events come again, with the same replay ids."""
        self.events += self.events[-last:]
        self.on_event()

    def expire_tokens(self) -> None:
        """Every session ends: 401 INVALID_SESSION_ID."""
        self.tokens.clear()

    def expire_replay(self) -> None:
        """Everything told so far is out of retention."""
        self.oldest_replay = self._replay
        self.events.clear()

    # -- inside

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

    def publish(self, one: Object, payload: Mapping[str, Any]) -> None:
        """Put an event on the bus."""
        self._replay += self._chance.randint(1, 5)
        message = {"schema": f"sim-{one.name}", "payload": payload, "event": {"replayId": self._replay}}
        event = Event(self._replay, one.name, message)
        self._raised += 1
        twice = self.duplicate_every and self._raised % self.duplicate_every == 0
        self.events += [event, event] if twice else [event]
        self.on_event()

    def transaction(self, user: str = BROWSER_USER, origin: str = UI) -> Transaction:
        """A transaction of now."""
        return self._transaction(user, origin)

    def _transaction(self, user: str, origin: str) -> Transaction:
        self._commits += self._chance.randint(1, 900)
        key = "-".join(f"{self._chance.getrandbits(bits):0{bits // 4}x}" for bits in (32, 16, 16, 16, 48))
        return Transaction(key, self._commits, int(self.clock() * 1000), to18(user[:15]), origin)

    def _new_id(self, one: Object) -> str:
        self._ids += 1
        return numbered(one.prefix, self._ids)

    def _now(self) -> str:
        return datetime.fromtimestamp(int(self.clock()), UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")

    def _filled(self, row: Row) -> Row:
        hidden = ("Id", "SystemModstamp")
        return {name: value for name, value in row.items() if value is not None and name not in hidden}
