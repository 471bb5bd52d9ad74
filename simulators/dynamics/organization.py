"""The organisation behind the environment: its tables' rows, users, applications and the steps it was furnished with.

Promises: a seed gives the same ids; everything that exists, users and webhook steps too, is a row.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from datetime import UTC, datetime
from typing import Any

from isthmus.simulators.dynamics import faults, webhooks
from isthmus.simulators.dynamics.authority import Application, Authority
from isthmus.simulators.dynamics.context import NOBODY
from isthmus.simulators.dynamics.graph import Graph
from isthmus.simulators.dynamics.limits import Limits
from isthmus.simulators.dynamics.platform_tables import PLATFORM_TABLES
from isthmus.simulators.dynamics.schema import STANDARD_TABLES, Column, Table, copied
from isthmus.simulators.dynamics.store import Row, Store
from isthmus.simulators.dynamics.trouble import Trouble
from isthmus.simulators.dynamics.values import Reference, Value, parse, to_json
from isthmus.simulators.dynamics.work import Actor, Work

PRIVILEGES = ("Create", "Read", "Write", "Delete", "Append", "AppendTo", "Assign", "Share")
MESSAGES = ("Create", "Update", "Delete", "CreateMultiple", "UpdateMultiple", "UpsertMultiple", "Merge")


class Organization(Trouble):
    """One organisation with its Entra tenant.

    `tenant`, `client_id` and `client_secret` are the credentials of the application user `application_user`; `person`
    is a user of flesh and blood; `tracked` are the tables with change tracking; `limits` protect the service; the
    application user sees no row that is `hidden` and may read no `forbidden` table. `tables` are declared as data
    (schema.py); `token_lifetime` is in seconds.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        tables: Iterable[Table] = STANDARD_TABLES,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        token_lifetime: int = 3599,
    ) -> None:
        super().__init__(seed)
        self.now = clock
        self._ids, self._operation_ids = (random.Random(f"{stream}/{seed}") for stream in ("rows", "operations"))
        # Copies: what an administrator adds to a table here must not show anywhere else.
        own = {one.name: copied(one) for one in (*PLATFORM_TABLES, *tables)}
        self.store = Store(own, lambda: _guid(self._ids))
        self.tracked = {one.name for one in own.values() if not one.internal}
        self.pending: set[tuple[str, str]] = set()
        self.failed_keys: set[tuple[str, str]] = set()
        self.hidden: set[str] = set()
        self.forbidden: set[str] = set()
        self.links_valid_from = 0
        self.limits = Limits(clock)
        self.tenant, self.client_id, self.organization_id = (_guid(self._ids) for _ in range(3))
        self.client_secret = f"sim-secret-{self._ids.getrandbits(64):016x}"
        self.organization_name = f"unq{self.organization_id.replace('-', '')[:29]}"
        self.domain = f"org{self.organization_id[:8]}.crm.dynamics.com"
        self.authority = Authority(self.tenant, clock, lifetime=token_lifetime, seed=seed)
        self._furnish()

    def rows(self, object: str) -> dict[str, dict[str, Any]]:
        """Every row by id: all columns by logical name, as plain JSON values, null where empty."""
        return {row.id: _plain(row) for row in self.store.all(self.table(object).name)}

    def ids(self, object: str) -> list[str]:
        """The ids of every row, oldest first."""
        return self.store.ids(self.table(object).name)

    def row(self, object: str, record_id: str) -> dict[str, Any]:
        """One row, as in `rows`; Fault 404 where there is none."""
        return _plain(self.found(object, record_id))

    def register_application(self, client_id: str, client_secret: str, name: str = "# Integration") -> str:
        """A further app registration with an application user of its own; the user's id."""
        user = self._insert("systemuser", {"fullname": name, "applicationid": client_id})
        self.authority.register(Application(client_id, client_secret, user))
        return user

    def expire_tokens(self) -> None:
        """Every token issued so far is answered with 401 from now on."""
        self.authority.expire_tokens()

    def expire_links(self) -> None:
        """Every delta link given out so far is refused from now on, as after the days of the organisation's setting."""
        self.links_valid_from = self.store.skip()

    def keys_built(self) -> None:
        """The indexes of new alternate keys are ready."""
        self.pending.clear()

    def audit(self, *tables: str) -> None:
        """These tables are audited from now on."""
        self.store.audited.update(tables)

    # -- for the edges of this package

    def table(self, name: str) -> Table:
        """The table's declaration; Fault 404 where there is none."""
        if name not in self.store.tables:
            raise faults.no_resource(name)
        return self.store.tables[name]

    def tables(self) -> list[Table]:
        """The tables that people work with."""
        return [one for one in self.store.tables.values() if not one.internal]

    def found(self, object: str, record_id: str) -> Row:
        """The row; Fault 404 where there is none."""
        row = self.store.get(self.table(object).name, record_id)
        if row is None:
            raise faults.missing_id(object, record_id)
        return row

    def actor(self, user: str | None = None, tag: str | None = None, correlation: str | None = None) -> Actor:
        """Who acts: this user, or `person`."""
        return Actor(user or self.person, self.business_unit, self.currency, tag, correlation)

    def begin(self, actor: Actor, locked: Set[str] = frozenset()) -> Work:
        """A new unit of work, by somebody whom locked rows hold up."""
        return Work(self.store, actor, self.now().replace(microsecond=0), locked)

    def operation_id(self) -> str:
        """A GUID for anything that is no row."""
        return _guid(self._operation_ids)

    def typed(self, object: str, fields: Mapping[str, Any]) -> dict[str, Value]:
        """What a person typed, as stored values. A lookup is an id, or (table, id)."""
        table = self.table(object)
        unknown = set(fields) - set(table.columns)
        if unknown:
            raise faults.payload(table.collection, f"An undeclared property '{min(unknown)}' was found.")
        return {name: self._stored(table, table.columns[name], value) for name, value in fields.items()}

    # -- inside

    def _furnish(self) -> None:
        self.business_unit = self._insert("businessunit", {"name": self.organization_name})
        self.currency = self._insert("transactioncurrency", {"currencyname": "US Dollar", "isocurrencycode": "USD"})
        self._insert("organization", {"name": self.organization_name}, self.organization_id)
        self.person = self._insert("systemuser", {"fullname": "Ada Clerk", "domainname": f"ada@{self.domain}"})
        self.application_user = self.register_application(self.client_id, self.client_secret)
        self.graph = Graph(self.authority, self.client_id, self.client_secret)
        for message in MESSAGES:
            own = self._insert("sdkmessage", {"name": message})
            for table in self.tables():
                self._insert("sdkmessagefilter", {"primaryobjecttypecode": table.name, "sdkmessageid": own})
        for right in dict.fromkeys(table.right for table in self.tables()):
            for verb in PRIVILEGES:
                self._insert("privilege", {"name": f"prv{verb}{right}"})

    def _register_endpoint(self, url: str, kind: str, secret: str) -> str:
        auth_type = webhooks.AUTH_TYPES[kind]
        fields = {"name": url[:160], "contract": 8, "authtype": auth_type, "authvalue": secret, "url": url}
        return self._insert("serviceendpoint", fields)

    def _register_step(self, endpoint: str, table: str, message: str, mode: str, filtering: Sequence[str]) -> str:
        message_row = next(row for row in self.store.all("sdkmessage") if row.get("name") == message)
        wanted = (Reference("sdkmessage", message_row.id), self.table(table).name)
        filters = self.store.all("sdkmessagefilter")
        chosen = next(row for row in filters if (row.get("sdkmessageid"), row.get("primaryobjecttypecode")) == wanted)
        fields = {
            "name": f"Webhook: {message} of {table}",
            "stage": 40,
            "mode": int(mode == "async"),
            "asyncautodelete": mode == "async",
            "filteringattributes": ",".join(filtering),
            "eventhandler": endpoint,
            "sdkmessageid": message_row.id,
            "sdkmessagefilterid": chosen.id,
        }
        return self._insert("sdkmessageprocessingstep", fields)

    def _insert(self, object: str, fields: Mapping[str, Any], record_id: str | None = None) -> str:
        work = self.begin(Actor(NOBODY, NOBODY, NOBODY))
        return work.create(self.table(object), self.typed(object, fields), record_id).id

    def _stored(self, table: Table, column: Column, value: Any) -> Value:
        if isinstance(value, Reference):
            return value
        if column.kind != "lookup" or value is None:
            return parse(table, column, value)
        named, record_id = value if isinstance(value, tuple) else (None, str(value))
        for target in [named] if named else column.targets.values():
            if self.store.get(target, record_id) is not None:
                return Reference(target, record_id.lower())
        raise faults.missing_id(named or table.name, record_id)


def _plain(row: Row) -> dict[str, Any]:
    return {name: to_json(row.get(name)) for name, column in row.table.columns.items() if not column.secret}


def _guid(chance: random.Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))
