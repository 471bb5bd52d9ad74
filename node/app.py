"""All wiring, in one place: settings in, a Faust app with every stage, source and the HTTP API out.

Promises: nothing starts or connects before the app does; whoever calls `create_app` may pass its own systems, so a test
or a demo runs the same node that people run.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry

from isthmus.agents import activate, decide, deliver, identify, intake, merge, reread, review, source
from isthmus.agents import letters as dead
from isthmus.agents.allowance import Allowance
from isthmus.agents.ends import Most
from isthmus.codecs.activation import versions_of
from isthmus.config.mapping import Mappings
from isthmus.config.settings import Settings
from isthmus.node.features import advise
from isthmus.node.hints import Hints
from isthmus.node.http import Api, pages
from isthmus.node.identity_http import IdentityHttp
from isthmus.node.letters import Letters
from isthmus.node.letters_http import LettersHttp
from isthmus.node.mappings_http import MappingsHttp
from isthmus.node.members import Members
from isthmus.node.metrics import Collector
from isthmus.node.operators import Operators
from isthmus.node.orders import Orders
from isthmus.node.platforms import row_versions
from isthmus.node.reading import Reading
from isthmus.node.reviews import Reviews
from isthmus.node.reviews_http import ReviewsHttp
from isthmus.node.runtime import Runtime
from isthmus.node.topics import Topics, create
from isthmus.node.transport import App
from isthmus.node.webhooks import authenticator, hint_reader, name_reader
from isthmus.node.who import Who
from isthmus.systems.protocol import System
from isthmus.tables.breaker import Limits
from isthmus.tables.budgets import Budget
from isthmus.tables.deliveries import Patience
from isthmus.tables.stage import Stage, Step, no_step
from isthmus.tables.unit import partition_of

PUBLISHED = ("audit",)
EXIT_DOUBT = 70
# Platforms that tell a merge as a delete of the loser and an update of the winner.
MERGING = frozenset({"salesforce"})

log = structlog.get_logger()


@dataclass(frozen=True)
class Node:
    """What `create_app` made."""

    app: App
    runtime: Runtime
    reading: Reading


def create_app(settings: Settings, mappings: Mappings, systems: Sequence[System], at: Step = no_step) -> Node:
    """A worker of this node; `at` hears of each step of each unit of work, so that a test may end it there."""
    mappings = mappings.joining(system.name for system in systems)
    topics = Topics(settings.node.namespace, settings.node.partitions, settings.kafka.replication_factor)
    app = _faust(settings)
    runtime = Runtime(
        app,
        topics,
        settings.kafka.bootstrap,
        settings.node.data_dir,
        end_process,
        deadline=settings.node.commit_deadline,
        frame_bytes=settings.node.frame_bytes,
        standby=settings.node.standby,
        at=at,
    )
    faults: dict[str, str] = {}
    allowances = {system.name: Allowance(system, _budget(settings, system.name)) for system in systems}
    for stage in stages(settings, mappings, systems, faults, allowances):
        runtime.add(stage)
    members = Members(app, settings.node.own_url)
    reading = Reading(runtime, members, faults, allowances)
    hints = _hints(settings, mappings, topics, systems)
    _services(app, settings, mappings, runtime, reading, systems, hints)
    return Node(app, runtime, reading)


def stages(
    settings: Settings,
    mappings: Mappings,
    systems: Sequence[System],
    faults: dict[str, str],
    allowances: Mapping[str, Allowance] | None = None,
) -> list[Stage]:
    """Every stage of the way of a change, in its order. `allowances`: by system; None: by the default shares."""
    versions = versions_of(mappings)
    return [replace(one, mapped=versions) for one in _stages(settings, mappings, systems, faults, allowances or {})]


def _stages(
    settings: Settings,
    mappings: Mappings,
    systems: Sequence[System],
    faults: dict[str, str],
    allowances: Mapping[str, Allowance],
) -> list[Stage]:
    named = {system.name: system for system in systems}
    pipeline = settings.pipeline
    most = Most(pipeline.ends_most, pipeline.ends_seconds)
    patience = Patience(pipeline.retry_base, pipeline.retry_cap, pipeline.max_attempts, pipeline.max_age)
    limits = _limits(settings)

    def owner(name: str) -> int:
        return partition_of(name.encode(), settings.node.partitions)

    return [
        source.stage(named, mappings, owner, faults),
        *(_reread(system, mappings, allowances.get(system.name)) for system in systems),
        intake.stage(list(named), mappings, _tags(settings), MERGING & named.keys()),
        identify.stage(mappings),
        merge.stage(mappings),
        *(
            deliver.stage(
                system,
                mappings,
                patience,
                limits,
                most,
                hinted=hint_reader(system.name, mappings) is not None,
                allowance=allowances.get(system.name),
            )
            for system in systems
        ),
        activate.stage(),
        decide.stage(),
        review.stage(),
        dead.stage(mappings, {name: reader for name in named if (reader := hint_reader(name, mappings)) is not None}),
    ]


def _reread(system: System, mappings: Mappings, allowance: Allowance | None) -> Stage:
    told = row_versions(system.name)
    return reread.stage(system, hint_reader(system.name, mappings), told != "none", told == "unordered", allowance)


def _limits(settings: Settings) -> Limits:
    """Of one partition: each has a breaker of its own, and its part of the drain's rate."""
    pipeline = settings.pipeline
    return Limits(
        pipeline.breaker_share,
        pipeline.breaker_window,
        pipeline.breaker_calls,
        pipeline.retry_base,
        max(pipeline.breaker_probe, pipeline.retry_base),
        pipeline.drain_rate / settings.node.partitions,
    )


def _budget(settings: Settings, system: str) -> Budget:
    """The shares of a platform's limits; of those that tell of none, nothing is asked."""
    told = {"salesforce": settings.salesforce, "dynamics": settings.dynamics}.get(system)
    if told is None:
        return Budget()
    one = told.budget
    return Budget(one.reserve, one.batch, one.batch_at_night, (one.night_from, one.night_to))


def _tags(settings: Settings) -> dict[str, str]:
    """What a platform's change events say where a change was made by us; Dynamics rows say nothing of the kind."""
    return {} if settings.salesforce is None else {"salesforce": f"client={settings.salesforce.client_name}"}


def end_process(fault: BaseException) -> None:
    """End at once: on any doubt the supervisor's restart is safer than going on, and nothing more may be sent."""
    log.critical("this worker ends: it is not sure of its state any more", exc_info=fault)
    os._exit(EXIT_DOUBT)


def _faust(settings: Settings) -> App:
    node = settings.node
    return App(
        f"{node.namespace}{node.name}",
        broker=f"kafka://{settings.kafka.bootstrap}",
        store="memory://",
        datadir=str(node.data_dir),
        canonical_url=node.own_url,
        web_enabled=False,
        consumer_group_instance_id=node.instance,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=10.0,
        broker_heartbeat_interval=3.0,
        broker_commit_interval=1.0,
        topic_partitions=node.partitions,
        topic_allow_declare=False,
        topic_disable_leader=True,
        # With standbys "on" and no Faust tables, its assignor keeps partition p of all topics on one worker.
        table_standby_replicas=1,
        # The markers decide where work resumes, so a rebalance need not wait for what is queued.
        stream_wait_empty=False,
        stream_buffer_maxsize=8,
    )


def _hints(settings: Settings, mappings: Mappings, topics: Topics, systems: Sequence[System]) -> dict[str, Hints]:
    """The door of every system that sends hints."""
    named = [system.name for system in systems if hint_reader(system.name, mappings) is not None]
    return {
        name: Hints(
            settings.kafka.bootstrap,
            topics.topic(f"hints.{name}"),
            topics.partitions,
            authenticator(settings, name),
            name_reader(name, mappings),
            name,
        )
        for name in named
    }


def _services(
    app: App,
    settings: Settings,
    mappings: Mappings,
    runtime: Runtime,
    reading: Reading,
    systems: Sequence[System],
    hints: Mapping[str, Hints],
) -> None:
    registry = CollectorRegistry()
    registry.register(Collector(reading))
    orders, operators = Orders(settings.kafka.bootstrap, runtime.topics), Operators(settings.node.operator_token)
    letters = LettersHttp(Letters(reading, orders), operators)
    versions = MappingsHttp(mappings, orders, operators, settings.node.partitions)
    who = Who(mappings, orders, settings.node.partitions)
    decisions = IdentityHttp(mappings, who, operators)
    asked = ReviewsHttp(Reviews(reading, orders, who), operators, pages())
    api = Api(reading, registry, hints.get("dynamics"), letters, versions, decisions, asked).application()
    if "operations" in hints:
        api.router.add_post("/webhooks/operations", hints["operations"].receive)
    runner = web.AppRunner(api, access_log=None)

    async def open_() -> None:
        published = [*PUBLISHED, *(f"events.{name}" for name in mappings.entities)]
        if advice := await advise(settings.kafka.bootstrap):
            log.warning(advice)
        await create(settings.kafka.bootstrap, runtime.topics.declared(runtime.stages.values(), published))
        await asyncio.gather(*(system.open() for system in systems))
        await asyncio.gather(orders.open(), *(door.open() for door in hints.values()))
        await runner.setup()
        await web.TCPSite(runner, settings.node.http_host, settings.node.http_port).start()

    async def close() -> None:
        await runner.cleanup()
        await asyncio.gather(orders.close(), *(door.close() for door in hints.values()))
        await runtime.stop()
        await reading.members.close()
        await asyncio.gather(*(system.close() for system in systems))

    app.opening, app.closing = open_, close
    app.task(runtime.watch)
