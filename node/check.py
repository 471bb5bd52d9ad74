"""`isthmus check`: can this node do its work here? Looks at everything, changes nothing.

Promises: every question is asked even where an earlier one failed; a finding says what to do; no secret is printed.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import orjson
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, for_code

from isthmus.config.errors import ConfigError, IsthmusError
from isthmus.config.mapping import ENTITIES, Mappings, load_mappings
from isthmus.config.settings import Settings
from isthmus.node.expiry import days_left
from isthmus.node.features import MAY_HANG, METADATA, commits_may_hang, supported
from isthmus.systems.protocol import Finding, System

State = Literal["ok", "warn", "fail"]
PATIENCE_SECONDS = 15.0
SOON_DAYS = 30


@dataclass(frozen=True, slots=True)
class Answer:
    """One line of the outcome."""

    state: State
    name: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint and self.state != "ok" else ""
        return f"{self.state:<4} {self.name}: {self.message}{hint}"


def run_check(settings: Settings, *, as_json: bool = False) -> int:
    """Ask everything, print the answers, give the exit code: 0 all is well, 1 something fails, 2 the settings do."""
    return report(asyncio.run(check(settings)), as_json=as_json)


def report(answers: Sequence[Answer], *, as_json: bool = False) -> int:
    """Print the answers to stdout, one a line or as one JSON document; the exit code that they stand for."""
    if as_json:
        sys.stdout.write(orjson.dumps([asdict(answer) for answer in answers], option=orjson.OPT_INDENT_2).decode())
        sys.stdout.write("\n")
    else:
        sys.stdout.writelines(f"{answer}\n" for answer in answers)
    failed = {answer.name for answer in answers if answer.state == "fail"}
    return 2 if "configuration" in failed else 1 if failed else 0


async def check(settings: Settings) -> list[Answer]:
    """Configuration, Kafka and every configured system, in this order."""
    mappings, answers = _configuration(settings)
    answers += certificates(settings, datetime.now(UTC))
    answers += await _secrets(settings)
    answers += await _kafka(settings)
    if mappings is not None:
        answers += await _systems(settings, mappings)
    return answers


def refused(fault: IsthmusError) -> Answer:
    """The answer where the configuration cannot even be read."""
    return Answer("fail", "configuration", str(fault), fault.hint)


def _configuration(settings: Settings) -> tuple[Mappings | None, list[Answer]]:
    try:
        mappings = load_mappings(settings.entities_dir or ENTITIES)
    except ConfigError as fault:
        return None, [refused(fault)]
    names = ", ".join(sorted(mappings.entities))
    return mappings, [Answer("ok", "configuration", f"settings and {len(mappings.entities)} mappings: {names}")]


async def _secrets(settings: Settings) -> list[Answer]:
    # Here, not above: it brings msal along.
    from isthmus.node.renewal import answers

    return await answers(settings, datetime.now(UTC), make=False)


def certificates(settings: Settings, now: datetime) -> list[Answer]:
    """How long each certificate that we log in by is still valid."""
    named = {"dynamics": settings.dynamics, "operations": settings.operations}
    files = {name: section.certificate_file for name, section in named.items() if section is not None}
    return [_certificate(f"{name} certificate", file, now) for name, file in files.items() if file is not None]


def _certificate(name: str, file: Path, now: datetime) -> Answer:
    try:
        left = days_left(file.read_bytes(), now)
    except (OSError, ConfigError) as fault:
        return Answer("fail", name, f"{file}: {fault}", "give a private key and its certificate, PEM")
    hint = "add a new one to the app registration, then write it into the file: no restart is needed"
    state: State = "fail" if left < 0 else "warn" if left < SOON_DAYS else "ok"
    return Answer(state, name, f"is valid for {left} more days" if left >= 0 else "is not valid any more", hint)


async def _kafka(settings: Settings) -> list[Answer]:
    servers = settings.kafka.bootstrap
    admin = AIOKafkaAdminClient(bootstrap_servers=servers, request_timeout_ms=int(PATIENCE_SECONDS * 1000))
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await admin.start()
            return [await _cluster(admin, servers), await _transactions(admin), *await _topics(admin, settings)]
    except (KafkaError, OSError) as fault:
        message = f"{servers} does not answer: {type(fault).__name__}"
        return [Answer("fail", "kafka", message, "set kafka.url or KAFKA_URL to a Kafka that runs")]
    finally:
        await admin.close()


async def _cluster(admin: AIOKafkaAdminClient, servers: str) -> Answer:
    found = await admin.describe_cluster()
    return Answer("ok", "kafka", f"{servers} answers: brokers {len(found['brokers'])}, cluster {found['cluster_id']}")


async def _transactions(admin: AIOKafkaAdminClient) -> Answer:
    found = await supported(admin)
    told = f"its software knows {METADATA} {found.get(METADATA, 0)}"
    return Answer("warn" if commits_may_hang(found) else "ok", "kafka transactions", told, MAY_HANG)


async def _topics(admin: AIOKafkaAdminClient, settings: Settings) -> list[Answer]:
    name = f"{settings.node.namespace}isthmus-check"
    wanted = NewTopic(name, settings.node.partitions, settings.kafka.replication_factor)
    # Validated only: Kafka says whether it would, and nothing is created.
    ((_, code, detail, *_),) = (await admin.create_topics([wanted], validate_only=True)).topic_errors
    created = (
        Answer("fail", "kafka topics", f"cannot be created: {detail or for_code(code).__name__}", _topic_hint(code))
        if code
        else Answer("ok", "kafka topics", f"may be created with {settings.kafka.replication_factor} copies")
    )
    return [created, await _partitions(admin, settings)]


def _topic_hint(code: int) -> str:
    invalid_replication_factor = 38
    return (
        "set kafka.replication_factor to at most the number of brokers"
        if code == invalid_replication_factor
        else "allow this user to create topics"
    )


async def _partitions(admin: AIOKafkaAdminClient, settings: Settings) -> Answer:
    own = [f"{settings.node.namespace}{name}" for name in ("sources", "dead", "audit")]
    sizes = Counter(len(topic["partitions"]) for topic in await admin.describe_topics(own) if topic["partitions"])
    wanted = settings.node.partitions
    if set(sizes) - {wanted}:
        message = f"this node's topics have {', '.join(map(str, sorted(sizes)))} partitions, {wanted} are set"
        return Answer("fail", "kafka partitions", message, "set node.partitions to what the topics have")
    return Answer("ok", "kafka partitions", f"{wanted}, as set" if sizes else f"no topics yet, {wanted} are set")


async def _systems(settings: Settings, mappings: Mappings) -> list[Answer]:
    missing = [name for name in ("dynamics", "salesforce") if getattr(settings, name) is None]
    idle = [Answer("warn", name, "not configured", f"set the section {name}") for name in missing]
    found = await asyncio.gather(*(ask(system) for system in _opened(settings, mappings)))
    return [answer for answers in found for answer in answers] + idle


def _opened(settings: Settings, mappings: Mappings) -> list[System]:
    if not (settings.salesforce or settings.dynamics or settings.operations or settings.platforms):
        return []
    # Here, not above: the adapters bring their client libraries along.
    from isthmus.node.systems import open_systems

    return open_systems(settings, mappings)


async def ask(system: System) -> list[Answer]:
    """One system's own findings, or why it could not be asked."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS * 2):
            await system.open()
            return [_answer(system.name, finding) for finding in await system.check()]
    except IsthmusError as fault:
        return [Answer("fail", system.name, str(fault), fault.hint)]
    except TimeoutError:
        return [Answer("fail", system.name, "does not answer", "check its URL and the way there")]
    finally:
        await system.close()


def _answer(system: str, finding: Finding) -> Answer:
    return Answer("ok" if finding.ok else "fail", f"{system} {finding.name}", finding.message, finding.hint)
