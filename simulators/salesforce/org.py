"""A Salesforce org in memory: rows, what people and programs do to them, and the change events of it. No I/O.

Promises: every write raises the change event that the real org would, our own included, so an echo is real; a seed gives
the same ids and transaction keys; events stay for replay until they are made to expire.
"""

from __future__ import annotations

import random
import string
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from isthmus.simulators.outage import Outage
from isthmus.simulators.salesforce.events import Event, Transaction, body, event_name, header
from isthmus.simulators.salesforce.faults import Refused, refused
from isthmus.simulators.salesforce.schema import STANDARD_OBJECTS, Field, Object

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
UI = "com/salesforce/api/soap/60.0;client=SfdcInternalAPI/"
BROWSER_USER = "0055g00000UserAAAA"
API_USER = "0055g00000ApiUserA"
Row = dict[str, Any]


def to18(record_id: str) -> str:
    """A 15-character id with its case suffix (salesforce.md §5)."""
    if len(record_id) != 15:
        return record_id
    chunks = (record_id[start : start + 5] for start in (0, 5, 10))
    return record_id + "".join(SUFFIX[sum(1 << k for k, c in enumerate(chunk) if c.isupper())] for chunk in chunks)


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
        self.oldest_replay = 0
        self.requests = 0
        self._chance = random.Random(seed)
        self._clock = clock
        self._rows: dict[str, dict[str, Row]] = {name: {} for name in self.objects}
        self._bin: dict[str, dict[str, Row]] = {name: {} for name in self.objects}
        self._ids = 0
        self._replay = 1000
        self._commits = 70_000_000_000
        self._raised = 0
        self._gaps: set[tuple[str, str]] = set()
        self._failing: list[Refused] = []

    # -- what people do

    def create(self, object: str, fields: Mapping[str, Any], *, user: str = BROWSER_USER, origin: str = UI) -> str:
        """A new record; its id."""
        one = self.object(object)
        self._validate(one, fields, creating=True)
        now = self._now()
        row: Row = dict.fromkeys(one.fields)
        row.update({name: _stored(value) for name, value in fields.items()})
        row |= {"Id": self._new_id(one), "CreatedDate": now, "CreatedById": to18(user[:15])}
        row |= {"LastModifiedDate": now, "LastModifiedById": to18(user[:15]), "SystemModstamp": now}
        self._rows[object][row["Id"]] = row
        self._raise(one, row["Id"], "CREATE", self._transaction(user, origin), self._filled(row))
        return str(row["Id"])

    def update(
        self, object: str, record_id: str, fields: Mapping[str, Any], *, user: str = BROWSER_USER, origin: str = UI
    ) -> None:
        """Change fields; None clears. Where nothing differs only LastModifiedDate moves."""
        one, row = self.object(object), self.row(object, record_id)
        self._validate(one, fields, creating=False)
        changed = {n: _stored(v) for n, v in fields.items() if _stored(v) != row[n]}
        now, modifier = self._now(), to18(user[:15])
        extra: Row = {"LastModifiedDate": now}
        if row["LastModifiedById"] != modifier:
            extra["LastModifiedById"] = modifier
        row |= changed | extra | {"SystemModstamp": now}
        self._raise(one, row["Id"], "UPDATE", self._transaction(user, origin), changed | extra)

    def delete(self, object: str, record_id: str, *, user: str = BROWSER_USER, origin: str = UI) -> None:
        """Into the recycle bin."""
        one, row = self.object(object), self.row(object, record_id)
        self._bin[object][row["Id"]] = self._rows[object].pop(row["Id"])
        self._raise(one, row["Id"], "DELETE", self._transaction(user, origin), {})

    def undelete(self, object: str, record_id: str, *, user: str = BROWSER_USER, origin: str = UI) -> None:
        """Out of it again."""
        one, key = self.object(object), to18(record_id)
        if key not in self._bin[object]:
            raise refused(404, "UNDELETE_FAILED", "entity is not in the recycle bin")
        row = self._rows[object][key] = self._bin[object].pop(key)
        self._raise(one, key, "UNDELETE", self._transaction(user, origin), self._filled(row))

    def rows(self, object: str) -> dict[str, Row]:
        """The live rows by id."""
        return dict(self._rows[object])

    def ids(self, object: str) -> list[str]:
        """The ids of the live rows, oldest first."""
        return list(self._rows[object])

    # -- what REST needs

    def object(self, name: str) -> Object:
        """An object by its name; 404 as REST answers."""
        if name not in self.objects:
            raise refused(404, "NOT_FOUND", "The requested resource does not exist")
        return self.objects[name]

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
        return [key for key, row in self._rows[object].items() if row[field] == value]

    def before_write(self) -> None:
        """Fail if a test wants this write to fail."""
        if self._failing:
            raise self._failing.pop(0)

    # -- trouble

    def fail_next(self, number: int, status: int, body: Any, retry_after: float | None = None) -> None:
        """The next REST writes are answered with this."""
        headers = {} if retry_after is None else {"Retry-After": str(int(retry_after))}
        self._failing += [Refused(status, body, headers)] * number

    def recover(self) -> None:
        """Forget the failures that are still to come."""
        self._failing.clear()

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
        return Transaction(key, self._commits, int(self._clock() * 1000), to18(user[:15]), origin)

    def _new_id(self, one: Object) -> str:
        self._ids += 1
        number, digits = self._ids, ""
        for _ in range(7):
            number, rest = divmod(number, 62)
            digits = BASE62[rest] + digits
        return to18(f"{one.prefix}5g000{digits}"[:15].ljust(15, "0"))

    def _now(self) -> str:
        return datetime.fromtimestamp(int(self._clock()), UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")

    def _filled(self, row: Row) -> Row:
        hidden = ("Id", "SystemModstamp")
        return {name: value for name, value in row.items() if value is not None and name not in hidden}

    def _validate(self, one: Object, fields: Mapping[str, Any], *, creating: bool) -> None:
        for name, value in fields.items():
            spec = one.fields.get(name)
            if spec is None:
                raise refused(400, "INVALID_FIELD", f"No such column '{name}' on sobject of type {one.name}", (name,))
            if not spec.updateable:
                message = f"Unable to create/update fields: {name}. Please check the security settings of this field"
                raise refused(400, "INVALID_FIELD_FOR_INSERT_UPDATE", message, (name,))
            _check(spec, value)
        lacking = [
            spec.name
            for spec in one.fields.values()
            if spec.required and (_stored(fields.get(spec.name)) is None) and (creating or spec.name in fields)
        ]
        if lacking:
            message = f"Required fields are missing: [{', '.join(lacking)}]"
            raise refused(400, "REQUIRED_FIELD_MISSING", message, tuple(lacking))


def _check(spec: Field, value: Any) -> None:
    if value is None:
        return
    if spec.type in ("int", "currency"):
        if isinstance(value, bool) or not isinstance(value, int | float):
            message = f"Cannot deserialize instance of {spec.type} from VALUE_STRING value {value}"
            raise refused(400, "JSON_PARSER_ERROR", message)
    elif not isinstance(value, str):
        raise refused(400, "JSON_PARSER_ERROR", f"Cannot deserialize instance of string from value {value}")
    elif len(value) > spec.length:
        message = f"{spec.name}: data value too large: {value[:20]}... (max length={spec.length})"
        raise refused(400, "STRING_TOO_LONG", message, (spec.name,))


def _stored(value: Any) -> Any:
    """What Salesforce keeps: no outer blanks, and an empty text is nothing."""
    if isinstance(value, str):
        return value.strip() or None
    return value
