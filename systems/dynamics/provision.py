"""What a Dataverse environment needs for us: the column and the alternate key for our ids, change tracking, the webhook
with its steps, and the role of our application user (dynamics.md §1.2, §3.1, §4).

Promises: says of each whether it is there; makes only what is not, and only when told to, so it may be repeated; takes
nothing away. Whoever applies it must be a System Customizer or Administrator meanwhile; afterwards the role made here is
enough. No step for bulk messages, which also raise those of each row, nor for Associate, of no one table (§1.6).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from isthmus.config.errors import PlatformError
from isthmus.config.mapping import SystemMapping
from isthmus.systems.dynamics.errors import web_api_error
from isthmus.systems.dynamics.session import Session, Webhook
from isthmus.systems.needs import Need, met
from isthmus.systems.protocol import Finding

ENDPOINT, ROLE = "Isthmus webhook", "Isthmus"
WEBHOOK_CONTRACT, POST_OPERATION, ASYNCHRONOUS = 8, 40, 1
AUTH_TYPES = {"key": 4, "header": 5, "query": 6}
MESSAGES = ("Create", "Update", "Delete")
# Tables whose rows can be merged (dynamics.md §3.6).
MERGED = frozenset({"account", "contact", "lead", "incident"})
VERBS = ("Create", "Read", "Write", "Append", "AppendTo")
ENGLISH = 1033
MERGE_LABELS = {"MSCRM.MergeLabels": "true"}


async def provision(environment: Session, tables: Mapping[str, SystemMapping], apply: bool) -> list[Finding]:
    """Each need with whether it is there; with `apply` it is made first. One that fails stops only those of its kind."""
    findings: list[Finding] = []
    for needs in (
        *(_table(environment, mapping) for mapping in tables.values()),
        _webhook(environment, tables),
        _role(environment, tables),
    ):
        try:
            async for need in needs:
                findings.append(await met(need, apply))
        except PlatformError as fault:
            findings.append(Finding("provision", False, str(fault), fault.hint or "is this user a System Customizer?"))
    return findings


async def _send(environment: Session, method: str, path: str, body: Any, headers: dict[str, str] | None = None) -> Any:
    answer = await environment.call(method, path, json=body, headers={"Prefer": "", **(headers or {})})
    if answer.status not in (200, 201, 204):
        raise web_api_error(answer.status, answer.json(), answer.retry_after)
    return answer


async def _rows(environment: Session, collection: str, select: str, condition: str) -> list[dict[str, Any]]:
    told = await environment.get(f"{collection}?$select={select}&$filter={quote(condition)}")
    rows: list[dict[str, Any]] = told["value"]
    return rows


# -- tables


async def _table(environment: Session, mapping: SystemMapping) -> AsyncIterator[Need]:
    base = f"EntityDefinitions(LogicalName='{mapping.object}')"
    columns = await environment.get(f"{base}/Attributes?$select=LogicalName")
    named = {column["LogicalName"] for column in columns["value"]}
    yield _column(environment, mapping, base, there=mapping.external_id in named)
    keys = await environment.get(f"{base}/Keys?$select=LogicalName,KeyAttributes,EntityKeyIndexStatus")
    yield _key(environment, mapping, base, keys["value"])
    definition = await environment.get(base)
    yield _tracking(environment, mapping, base, definition)


def _column(environment: Session, mapping: SystemMapping, base: str, *, there: bool) -> Need:
    name = f"{mapping.object} column {mapping.external_id}"
    if there:
        return Need(name, "is there")

    async def make() -> str:
        column = {
            "@odata.type": "Microsoft.Dynamics.CRM.StringAttributeMetadata",
            "SchemaName": mapping.external_id,
            "MaxLength": 100,
            "FormatName": {"Value": "Text"},
            "RequiredLevel": {"Value": "None"},
            "DisplayName": _label("Isthmus id"),
        }
        await _send(environment, "POST", f"{base}/Attributes", column)
        return await _published(environment, mapping)

    return Need(name, "is missing", make, ok=False)


def _key(environment: Session, mapping: SystemMapping, base: str, keys: Sequence[Mapping[str, Any]]) -> Need:
    name = f"{mapping.object} alternate key"
    held = next((key for key in keys if key.get("KeyAttributes") == [mapping.external_id]), None)
    if held is not None:
        state = held.get("EntityKeyIndexStatus", "Active")
        # The index is built in the background, and until then upserts by the key fail.
        return Need(name, f"is {state}", ok=state == "Active", hint="wait until it is Active")

    async def make() -> str:
        key = {
            "SchemaName": f"{mapping.external_id}_key",
            "DisplayName": _label("Isthmus key"),
            "KeyAttributes": [mapping.external_id],
        }
        await _send(environment, "POST", f"{base}/Keys", key)
        return f"{await _published(environment, mapping)}; its index is being built"

    return Need(name, f"{mapping.external_id} is no alternate key", make, ok=False)


def _tracking(environment: Session, mapping: SystemMapping, base: str, definition: Mapping[str, Any]) -> Need:
    name = f"{mapping.object} change tracking"
    if definition.get("ChangeTrackingEnabled"):
        return Need(name, "is on")

    async def make() -> str:
        # A table's definition is replaced as a whole.
        whole = {key: value for key, value in definition.items() if not key.startswith("@odata.context")}
        await _send(environment, "PUT", base, {**whole, "ChangeTrackingEnabled": True}, MERGE_LABELS)
        return await _published(environment, mapping)

    return Need(name, "is off", make, ok=False)


async def _published(environment: Session, mapping: SystemMapping) -> str:
    xml = f"<importexportxml><entities><entity>{mapping.object}</entity></entities></importexportxml>"
    await _send(environment, "POST", "PublishXml", {"ParameterXml": xml})
    return "made"


def _label(text: str) -> dict[str, Any]:
    return {"LocalizedLabels": [{"Label": text, "LanguageCode": ENGLISH}]}


# -- the webhook


async def _webhook(environment: Session, tables: Mapping[str, SystemMapping]) -> AsyncIterator[Need]:
    webhook = environment.config.webhook
    if webhook is None:
        yield Need("webhook", "is not set up: what changes is found by change tracking alone")
        return
    held = await _rows(environment, "serviceendpoints", "serviceendpointid,url,authtype", f"name eq '{ENDPOINT}'")
    yield _endpoint(environment, webhook, held)
    if not held:
        held = await _rows(environment, "serviceendpoints", "serviceendpointid,url", f"name eq '{ENDPOINT}'")
    for mapping in tables.values():
        for message in (*MESSAGES, "Merge") if mapping.object in MERGED else MESSAGES:
            yield await _step(environment, mapping, message, held[0]["serviceendpointid"] if held else None)


def _endpoint(environment: Session, webhook: Webhook, held: Sequence[Mapping[str, Any]]) -> Need:
    wanted = {"url": webhook.url, "authtype": AUTH_TYPES[webhook.kind]}
    secret = {"authvalue": webhook.key if webhook.kind == "key" else _settings(webhook)}

    async def make() -> str:
        # The secret cannot be read back, so it is set again: applying once more is how a key is rotated.
        if held:
            path = f"serviceendpoints({held[0]['serviceendpointid']})"
            await _send(environment, "PATCH", path, {**wanted, **secret}, {"If-Match": "*"})
            return "its address and key are set"
        told = {"name": ENDPOINT, "contract": WEBHOOK_CONTRACT, "messageformat": 2, **wanted, **secret}
        await _send(environment, "POST", "serviceendpoints", told)
        return "made"

    if held and all(held[0].get(name) == value for name, value in wanted.items()):
        return Need("webhook", f"goes to {webhook.url}", make)
    return Need("webhook", "goes elsewhere" if held else "is missing", make, ok=False)


def _settings(webhook: Webhook) -> str:
    pair = f"<setting name={quoteattr(webhook.name)} value={quoteattr(webhook.key)}/>"
    return f"<settings>{pair}</settings>"


async def _step(environment: Session, mapping: SystemMapping, message: str, endpoint: str | None) -> Need:
    name = f"Isthmus: {message} of {mapping.object}"
    columns = ",".join(sorted(mapping.columns)) if message == "Update" else ""
    select = "sdkmessageprocessingstepid,filteringattributes,statecode"
    held = await _rows(environment, "sdkmessageprocessingsteps", select, f"name eq '{name}'")

    async def make() -> str:
        if held:
            path = f"sdkmessageprocessingsteps({held[0]['sdkmessageprocessingstepid']})"
            await _send(environment, "PATCH", path, {"filteringattributes": columns}, {"If-Match": "*"})
            return "its columns are set"
        await _send(environment, "POST", "sdkmessageprocessingsteps", await _bound(mapping, message, columns))
        return "made"

    async def _bound(mapping: SystemMapping, message: str, columns: str) -> dict[str, Any]:
        (sdk,) = await _rows(environment, "sdkmessages", "sdkmessageid", f"name eq '{message}'")
        meant = f"primaryobjecttypecode eq '{mapping.object}' and _sdkmessageid_value eq {sdk['sdkmessageid']}"
        (chosen,) = await _rows(environment, "sdkmessagefilters", "sdkmessagefilterid", meant)
        return {
            "name": name,
            "stage": POST_OPERATION,
            "mode": ASYNCHRONOUS,
            "rank": 1,
            "supporteddeployment": 0,
            "asyncautodelete": True,
            "filteringattributes": columns,
            "eventhandler_serviceendpoint@odata.bind": f"/serviceendpoints({endpoint})",
            "sdkmessageid@odata.bind": f"/sdkmessages({sdk['sdkmessageid']})",
            "sdkmessagefilterid@odata.bind": f"/sdkmessagefilters({chosen['sdkmessagefilterid']})",
        }

    label = f"step {message} of {mapping.object}"
    if held and (held[0].get("filteringattributes") or "") == columns:
        return Need(label, "is there")
    if not held and endpoint is None:
        return Need(label, "is missing", ok=False, hint="isthmus provision --apply makes it")
    return Need(label, "listens to other columns" if held else "is missing", make, ok=False)


# -- the role


async def _role(environment: Session, tables: Mapping[str, SystemMapping]) -> AsyncIterator[Need]:
    who = await environment.get("WhoAmI")
    unit, user = who["BusinessUnitId"], who["UserId"]
    meant = f"name eq '{ROLE}' and _businessunitid_value eq {unit}"
    held = await _rows(environment, "roles", "roleid", meant)

    async def make_role() -> str:
        told = {"name": ROLE, "businessunitid@odata.bind": f"/businessunits({unit})"}
        await _send(environment, "POST", "roles", told)
        return "made"

    yield Need("role", f"{ROLE} is there") if held else Need("role", f"{ROLE} is missing", make_role, ok=False)
    held = held or await _rows(environment, "roles", "roleid", meant)
    if not held:
        return
    yield await _privileges(environment, tables, held[0]["roleid"], unit)
    yield await _assigned(environment, held[0]["roleid"], user)


async def _privileges(environment: Session, tables: Mapping[str, SystemMapping], role: str, unit: str) -> Need:
    """To create, read and write rows of the mapped tables, everybody's: change tracking asks for no less (§4). To delete
    them only where that is the policy."""
    deleted = [name for name, mapping in tables.items() if mapping.on_delete == "delete"]
    names = [f"prv{verb}{name.capitalize()}" for name in tables for verb in VERBS]
    names += [f"prvDelete{name.capitalize()}" for name in deleted]
    listed = ",".join(f"'{name}'" for name in names)
    meant = f"Microsoft.Dynamics.CRM.In(PropertyName='name',PropertyValues=[{listed}])"
    wanted = {row["privilegeid"]: row["name"] for row in await _rows(environment, "privileges", "name", meant)}
    told = await environment.get(f"roles({role})/Microsoft.Dynamics.CRM.RetrieveRolePrivilegesRole()")
    has = {one["PrivilegeId"] for one in told["RolePrivileges"] if one["Depth"] == "Global"}
    missing = [one for one in wanted if one not in has]

    async def make() -> str:
        given = [{"PrivilegeId": one, "Depth": "Global", "BusinessUnitId": unit} for one in missing]
        await _send(
            environment, "POST", f"roles({role})/Microsoft.Dynamics.CRM.AddPrivilegesRole", {"Privileges": given}
        )
        return f"{len(missing)} are given"

    if not missing:
        return Need("role privileges", f"all {len(wanted)} are there")
    return Need("role privileges", f"{', '.join(sorted(wanted[one] for one in missing))} are missing", make, ok=False)


async def _assigned(environment: Session, role: str, user: str) -> Need:
    told = await environment.get(f"systemusers({user})/systemuserroles_association?$select=roleid")

    async def make() -> str:
        reference = {"@odata.id": f"{environment.config.url}{environment.root}roles({role})"}
        await _send(environment, "POST", f"systemusers({user})/systemuserroles_association/$ref", reference)
        return "made"

    if any(one["roleid"] == role for one in told["value"]):
        return Need("role of the application user", f"is {ROLE}")
    return Need("role of the application user", f"is not {ROLE}", make, ok=False)
