"""Runs one worker until it is told to stop: `isthmus worker`.

Promises: SIGTERM and SIGINT finish the units under way and exit 0; a crash of Faust or a doubt about our own state exits
with another code, so that the supervisor starts the worker again.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import sys
from importlib.metadata import version

import structlog
import uvloop
from structlog.dev import ConsoleRenderer, plain_traceback

from isthmus.config.mapping import ENTITIES, load_mappings
from isthmus.config.settings import Settings
from isthmus.node.app import Node, create_app
from isthmus.node.form import form
from isthmus.node.systems import open_systems

OPEN_FILES = 65_536

log = structlog.get_logger()


def run_worker(settings: Settings) -> int:
    """Run; the exit code."""
    configure_logs(settings.log_level)
    allow_open_files()
    log.info("the worker starts", version=version("isthmus"), form=form())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    mappings = load_mappings(settings.entities_dir or ENTITIES)
    node = create_app(settings, mappings, open_systems(settings, mappings))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with node.app:
        calm_the_collector()
        await _until_stopped(node, stop)
    return exit_code(stop.is_set(), node.app.crash_reason)


def exit_code(asked: bool, fault: BaseException | None) -> int:
    """0 only where it was asked to end: some supervisors start nothing again that ended well."""
    if fault is not None:
        log.error("the worker crashed", fault=repr(fault))
    elif not asked:
        log.error("the worker ended, and nobody asked it to")
    return 0 if asked and fault is None else 1


def allow_open_files() -> None:
    """As many as the host lets a process have: RocksDB holds 6 to 256 open a store, a worker has 64 stores or more, and
    many hosts begin with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def calm_the_collector() -> None:
    """What is here now stays, and our values hold no cycles: looking for some after every 700 of them took a third of a
    worker's time (docs/performance.md)."""
    gc.freeze()
    gc.set_threshold(1_000_000, 20, 100)


async def _until_stopped(node: Node, stop: asyncio.Event) -> None:
    asked = asyncio.create_task(stop.wait())
    ended = asyncio.create_task(node.app.wait_until_stopped())
    await asyncio.wait({asked, ended}, return_when=asyncio.FIRST_COMPLETED)
    for task in (asked, ended):
        task.cancel()


def configure_logs(level: str) -> None:
    """One line a fact. A traceback shows no values of variables: they are customers' records."""
    number = getattr(logging, level.upper())
    logging.basicConfig(level=max(number, logging.WARNING), format="%(levelname)s %(name)s: %(message)s")
    colors = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    shown = ConsoleRenderer(colors=colors, exception_formatter=plain_traceback)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(number),
        processors=[*structlog.get_config()["processors"][:-1], shown],
    )
