"""What Salesforce documents to go wrong, provoked at the simulated org under a whole node: what the node makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
from oracle import committed

from isthmus.config.mapping import ENTITIES
from isthmus.node.demo import verdict
from isthmus.node.theatre import Progress, Theatre, listening_by, settle, theatre
from isthmus.simulators.salesforce import SalesforceOrg
from isthmus.simulators.salesforce.tell import Told, tell

LONG = "\r\n".join(f"Line {number} of what they make, and for whom." for number in range(40))
WRITES = r"/sobjects/Account/"


def with_descriptions(folder: Path) -> Path:
    """The entities that come with us, where an account has its long text from Salesforce; in this folder."""
    folder.mkdir()
    told = (ENTITIES / "account.yaml").read_text()
    told = told.replace("  phone: {", "  description: {type: string, rule: last_writer}\n  phone: {", 1)
    told = told.replace("      phone: Phone\n", "      description: Description\n      phone: Phone\n")
    (folder / "account.yaml").write_text(told)
    return folder


def untold(org: SalesforceOrg, change: Callable[[], object]) -> None:
    """A change of which no event tells."""
    org.selected.discard("Account")
    change()
    org.selected.add("Account")


class Watch:
    """Looks at a stage through its API."""

    def __init__(self, stage: Theatre, session: aiohttp.ClientSession) -> None:
        self.stage = stage
        self.session = session

    async def rest(self) -> tuple[dict[str, int], dict[str, int]]:
        """What the books say of Salesforce's accounts once nothing is under way: of changes and of writes."""
        ledger = await settle(self.stage, Progress(), 60)
        assert ledger["balanced"]
        return ledger["subjects"]["salesforce/account"], ledger["deliveries"].get("salesforce/account", {})

    async def told(self, path: str) -> dict[str, Any]:
        """A JSON answer."""
        async with self.session.get(path) as response:
            body: dict[str, Any] = await response.json()
            return body

    async def golden(self, account: str) -> dict[str, Any]:
        """The golden values of an account of Salesforce."""
        canonical = (await self.told(f"/v1/xref/salesforce/{account}"))["canonical"]
        fields: dict[str, Any] = (await self.told(f"/v1/golden/account/{canonical}"))["fields"]
        return fields

    async def until(self, found: Callable[[], Awaitable[bool]]) -> None:
        """Wait until it is so."""
        async with asyncio.timeout(60):
            while not await found():
                await asyncio.sleep(0.05)

    async def retried(self) -> bool:
        """Was a write to Salesforce tried again, and is still not done?"""
        writes = (await self.told("/v1/ledger"))["deliveries"].get("salesforce/account", {})
        return bool(writes and writes["retries"] >= 2 and writes["parked"])

    def phones(self, system: str) -> dict[str, str]:
        """Each account's number by its name."""
        rows = {"salesforce": self.stage.org.rows("Account"), "dynamics": self.stage.environment.rows("account")}
        name, phone = {"salesforce": ("Name", "Phone"), "dynamics": ("name", "telephone1")}[system]
        return {row[name]: row[phone] for row in rows[system].values()}


async def test_what_is_not_told_is_read_and_what_is_refused_is_written_later_or_is_a_dead_letter(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    at = {"bootstrap": kafka, "namespace": namespace, "entities": with_descriptions(tmp_path / "entities")}
    async with (
        theatre(tmp_path, **at, seed=15) as stage,  # type: ignore[arg-type]
        aiohttp.ClientSession(stage.worker.url) as session,
    ):
        watch = Watch(stage, session)
        named = {name: {"Name": name, "Description": LONG} for name in ("Alder", "Birch", "Cedar", "Elm")}
        alder, birch, cedar, elm = (stage.org.create("Account", fields) for fields in named.values())
        changes, _ = await watch.rest()
        assert changes["reread"] == 0
        await texts_that_differ(watch, alder, birch)
        await gaps_and_overflows(watch, alder, cedar, elm)
        await refused_writes(watch)
        assert (await verdict(stage, await settle(stage, Progress(), 60), 0.0)).problems == []
        async with session.get("/metrics") as response:
            told = dict(line.rsplit(" ", 1) for line in (await response.text()).splitlines() if line[0] != "#")
        assert 0 < float(told['isthmus_calls_used{limit="daily",system="salesforce"}']) <= stage.org.requests
        assert float(told['isthmus_calls_allowed{limit="daily",system="salesforce"}']) == stage.org.daily_requests


async def texts_that_differ(watch: Watch, known: str, unlike: str) -> None:
    """Two long texts are told as differences; of one record another text is known."""
    org, text = watch.stage.org, LONG.replace("Line 7", "Seventh line")
    untold(org, lambda: org.update("Account", unlike, {"Description": LONG.replace("Line 7", "Line seven")}))
    for one in (known, unlike):
        org.update("Account", one, {"Description": text})
    assert [event.message["payload"]["Description"].keys() for event in org.events[-2:]] == [{"diff"}, {"diff"}]
    changes, _ = await watch.rest()
    assert changes["reread"] == 1
    for one in (known, unlike):
        assert (await watch.golden(one))["description"] == text


async def gaps_and_overflows(watch: Watch, changed: str, deleted: str, behind_a_gap: str) -> None:
    """More is changed than is told; a delete is told without saying so."""
    org = watch.stage.org
    untold(org, lambda: org.update("Account", changed, {"Phone": "2"}))
    untold(org, lambda: org.delete("Account", deleted))
    tell(org, Told("Account", "GAP_OVERFLOW", ["000000000000000AAA"]))
    org.gap_next("Account", [behind_a_gap])
    org.delete("Account", behind_a_gap)
    assert org.events[-1].message["payload"]["ChangeEventHeader"]["changeType"] == "GAP_DELETE"
    changes, _ = await watch.rest()
    assert (changes["parked"], changes["dead"]) == (0, 0)
    assert watch.phones("dynamics") == {"Alder": "2", "Birch": None, "Cedar": None, "Elm": None}
    for one in (deleted, behind_a_gap):
        canonical = (await watch.told(f"/v1/xref/salesforce/{one}"))["canonical"]
        assert (await watch.told(f"/v1/golden/account/{canonical}"))["links"]["salesforce"] == {one: False}


async def refused_writes(watch: Watch) -> None:
    """A row that is locked, a session that ends, an answer that is lost, a spent quota and a duplicate rule."""
    org, environment, logins = watch.stage.org, watch.stage.environment, watch.stage.org.logins
    rows = {row["name"]: one for one, row in environment.rows("account").items()}
    org.faults.lock(org.ids("Account"))
    environment.update("account", rows["Alder"], {"telephone1": "3"})
    await watch.until(watch.retried)
    assert watch.phones("salesforce")["Alder"] == "2"
    org.faults.locked.clear()
    await watch.rest()
    assert watch.phones("salesforce")["Alder"] == "3"

    org.faults.expire(path=WRITES)
    org.faults.cut(path=WRITES)
    org.faults.throttle(1, retry_after=1)
    environment.create("account", {"name": "Fir", "telephone1": "4"})
    _, writes = await watch.rest()
    assert org.logins > logins
    assert watch.phones("salesforce") == {"Alder": "3", "Birch": None, "Fir": "4"}
    assert writes["dead"] == 0

    org.faults.duplicate_rules["Account"] = "Name"
    again = environment.create("account", {"name": "Fir", "telephone1": "5"})
    _, writes = await watch.rest()
    assert writes["dead"] == 1
    (letter,) = await committed(watch.stage.bootstrap, f"{watch.stage.namespace}dead")
    assert b"DUPLICATES_DETECTED" in letter.value
    environment.update("account", again, {"name": "Fir & Co"})
    (alder,) = (one for one, row in org.rows("Account").items() if row["Name"] == "Alder")
    org.update("Account", alder, {"Phone": "6"})  # heard with the token of after the session's end
    await watch.rest()
    assert watch.phones("salesforce") == {"Alder": "6", "Birch": None, "Fir": "4", "Fir & Co": "5"}
    assert watch.phones("dynamics")["Alder"] == "6"


async def test_a_node_that_listens_by_cometd_goes_on_after_every_loss_of_its_session(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    """The org does not know the client any more; the token has ended; both, and what was told meanwhile is forgotten."""
    at = {"bootstrap": kafka, "namespace": namespace, "more": listening_by(None)}
    async with theatre(tmp_path, **at, seed=16) as stage:  # type: ignore[arg-type]
        org = stage.org
        org.create("Account", {"Name": "Alder"})
        await arrived(stage, "Alder")
        org.forget_clients()
        org.create("Account", {"Name": "Birch"})
        await arrived(stage, "Alder", "Birch")
        org.expire_tokens()
        org.create("Account", {"Name": "Cedar"})
        await arrived(stage, "Alder", "Birch", "Cedar")
        org.expire_tokens()
        org.forget_clients()
        org.create("Account", {"Name": "Elm"})
        org.expire_replay()
        org.create("Account", {"Name": "Fir"})
        await arrived(stage, "Alder", "Birch", "Cedar", "Elm", "Fir")
        ledger = await settle(stage, Progress(), 60)
        assert (await verdict(stage, ledger, 0.0)).problems == []
        assert "changes may be lost" in (tmp_path / "worker.log").read_text()


async def arrived(stage: Theatre, *names: str) -> None:
    """Wait until Dynamics has these accounts and no other."""
    async with asyncio.timeout(30):
        while sorted(str(row["name"]) for row in stage.environment.rows("account").values()) != [*names]:
            await asyncio.sleep(0.05)
