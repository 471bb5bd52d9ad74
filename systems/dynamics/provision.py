"""What a Dataverse environment needs for us: the column and the alternate key for our ids, change tracking, the webhook
with its steps, and the role of our application user (dynamics.md §1.2, §3.1, §4).

Promises: says of each whether it is there; makes only what is not, and only when told to, so it may be repeated; takes
nothing away. Whoever applies it must be a System Customizer or Administrator meanwhile; afterwards the role made here is
enough. No step for bulk messages, which also raise those of each row, nor for Associate, of no one table (§1.6).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

from isthmus.config.errors import PlatformError
from isthmus.config.mapping import SystemMapping
from isthmus.systems.dynamics.role import role
from isthmus.systems.dynamics.session import Session, Webhook
from isthmus.systems.dynamics.setup import rows, send
from isthmus.systems.needs import Need, met
from isthmus.systems.protocol import Finding

HIDDEN = "0x80040220"
ENDPOINT = "Isthmus webhook"
WEBHOOK_CONTRACT, POST_OPERATION, ASYNCHRONOUS = 8, 40, 1
AUTH_TYPES = {"key": 4, "header": 5, "query": 6}
MESSAGES = ("Create", "Update", "Delete")
# Tables whose rows can be merged (dynamics.md §3.6).
MERGED = frozenset({"account", "contact", "lead", "incident"})
ENGLISH = 1033
MERGE_LABELS = {"MSCRM.MergeLabels": "true"}


async def provision(environment: Session, tables: Mapping[str, SystemMapping], apply: bool) -> list[Finding]:
    """Each need with whether it is there; with `apply` it is made first. One that fails stops only those of its kind."""
    findings: list[Finding] = []
    for needs in (
        *(_table(environment, mapping) for mapping in tables.values()),
        _webhook(environment, tables),
        role(environment, tables),
    ):
        try:
            async for need in needs:
                findings.append(await met(need, apply))
        except PlatformError as fault:
            findings.append(Finding("provision", False, str(fault), fault.hint or "is this user a System Customizer?"))
    return findings


async def compare(environment: Session, tables: Mapping[str, SystemMapping]) -> list[Finding]:
    """For `isthmus check`: the webhook with its steps, and our role where there is one. What is hidden from this user, whom
    nobody gave more rights than he needs, is no fault."""
    findings: list[Finding] = []
    for name, needs in (("webhook", _webhook(environment, tables)), ("role", role(environment, tables))):
        try:
            findings += [_optional(await met(need, apply=False)) async for need in needs]
        except PlatformError as fault:
            told = "is hidden from this user: an administrator may ask by isthmus provision"
            hidden = fault.code == HIDDEN
            findings.append(Finding(name, hidden, told if hidden else str(fault), fault.hint or "ask again later"))
    return findings


def _optional(found: Finding) -> Finding:
    if found.name != "role" or found.ok:
        return found
    return Finding(found.name, True, f"{found.message}: another one has to give the rights")


# -- tables


async def _table(environment: Session, mapping: SystemMapping) -> AsyncIterator[Need]:
    base = f"EntityDefinitions(LogicalName='{mapping.object}')"
    columns = await environment.get(f"{base}/Attributes?$select=LogicalName")
    named = {column["LogicalName"] for column in columns["value"]}
    yield _column(environment, mapping, base, there=mapping.external_id in named)
    keys = await environment.get(f"{base}/Keys?$select=LogicalName,KeyAttributes,EntityKeyIndexStatus")
    yield _key(environment, mapping, base, keys["value"])
    if mapping.listened:
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
        await send(environment, "POST", f"{base}/Attributes", column)
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
        await send(environment, "POST", f"{base}/Keys", key)
        return f"{await _published(environment, mapping)}; its index is being built"

    return Need(name, f"{mapping.external_id} is no alternate key", make, ok=False)


def _tracking(environment: Session, mapping: SystemMapping, base: str, definition: Mapping[str, Any]) -> Need:
    name = f"{mapping.object} change tracking"
    if definition.get("ChangeTrackingEnabled"):
        return Need(name, "is on")

    async def make() -> str:
        # A table's definition is replaced as a whole.
        whole = {key: value for key, value in definition.items() if not key.startswith("@odata.context")}
        await send(environment, "PUT", base, {**whole, "ChangeTrackingEnabled": True}, MERGE_LABELS)
        return await _published(environment, mapping)

    return Need(name, "is off", make, ok=False)


async def _published(environment: Session, mapping: SystemMapping) -> str:
    xml = f"<importexportxml><entities><entity>{mapping.object}</entity></entities></importexportxml>"
    await send(environment, "POST", "PublishXml", {"ParameterXml": xml})
    return "made"


def _label(text: str) -> dict[str, Any]:
    return {"LocalizedLabels": [{"Label": text, "LanguageCode": ENGLISH}]}


# -- the webhook


async def _webhook(environment: Session, tables: Mapping[str, SystemMapping]) -> AsyncIterator[Need]:
    webhook = environment.config.webhook
    if webhook is None:
        yield Need("webhook", "is not set up: what changes is found by change tracking alone")
        return
    held = await rows(environment, "serviceendpoints", "serviceendpointid,url,authtype", f"name eq '{ENDPOINT}'")
    yield _endpoint(environment, webhook, held)
    if not held:
        held = await rows(environment, "serviceendpoints", "serviceendpointid,url", f"name eq '{ENDPOINT}'")
    for mapping in (one for one in tables.values() if one.listened):
        for message in (*MESSAGES, "Merge") if mapping.object in MERGED else MESSAGES:
            yield await _step(environment, mapping, message, held[0]["serviceendpointid"] if held else None)


def _endpoint(environment: Session, webhook: Webhook, held: Sequence[Mapping[str, Any]]) -> Need:
    wanted = {"url": webhook.url, "authtype": AUTH_TYPES[webhook.kind]}
    secret = {"authvalue": webhook.key if webhook.kind == "key" else _settings(webhook)}

    async def make() -> str:
        # The secret cannot be read back, so it is set again: applying once more is how a key is rotated.
        if held:
            path = f"serviceendpoints({held[0]['serviceendpointid']})"
            await send(environment, "PATCH", path, {**wanted, **secret}, {"If-Match": "*"})
            return "its address and key are set"
        told = {"name": ENDPOINT, "contract": WEBHOOK_CONTRACT, "messageformat": 2, **wanted, **secret}
        await send(environment, "POST", "serviceendpoints", told)
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
    held = await rows(environment, "sdkmessageprocessingsteps", select, f"name eq '{name}'")

    async def make() -> str:
        if held:
            path = f"sdkmessageprocessingsteps({held[0]['sdkmessageprocessingstepid']})"
            await send(environment, "PATCH", path, {"filteringattributes": columns}, {"If-Match": "*"})
            return "its columns are set"
        await send(environment, "POST", "sdkmessageprocessingsteps", await _bound(mapping, message, columns))
        return "made"

    async def _bound(mapping: SystemMapping, message: str, columns: str) -> dict[str, Any]:
        (sdk,) = await rows(environment, "sdkmessages", "sdkmessageid", f"name eq '{message}'")
        meant = f"primaryobjecttypecode eq '{mapping.object}' and _sdkmessageid_value eq {sdk['sdkmessageid']}"
        (chosen,) = await rows(environment, "sdkmessagefilters", "sdkmessagefilterid", meant)
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

    async def turn_on() -> str:
        path = f"sdkmessageprocessingsteps({held[0]['sdkmessageprocessingstepid']})"
        await send(environment, "PATCH", path, {"statecode": 0}, {"If-Match": "*"})
        return "is on again"

    label = f"step {message} of {mapping.object}"
    if held and held[0].get("statecode") == 1:
        return Need(label, "is switched off", turn_on, ok=False)
    if held and (held[0].get("filteringattributes") or "") == columns:
        return Need(label, "is there")
    if not held and endpoint is None:
        return Need(label, "is missing", ok=False, hint="isthmus provision --apply makes it")
    return Need(label, "listens to other columns" if held else "is missing", make, ok=False)
