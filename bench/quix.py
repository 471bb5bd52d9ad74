"""Quix Streams' way of the work: a stateful apply on its RocksDB state, then to_topic; its defaults, and lz4.

Quix Streams pins older versions of what the project uses, so it has an environment of its own, made on first use.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pythons import environment

NAME = "quix"
REQUIREMENT = "quixstreams==3.28.1"
ENVIRONMENT = Path(__file__).with_name(".venv")

if TYPE_CHECKING:
    from common import Meter, Options
    from quixstreams import Application, State


def packages() -> str:
    """Where Quix Streams is, installed there if it is not yet."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        venv.create(ENVIRONMENT, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", REQUIREMENT], check=True)
    return sysconfig.get_path("purelib", vars={"base": str(ENVIRONMENT)})


def _in_own_environment() -> None:
    """Start again there, if Quix Streams is not to be had here."""
    if not importlib.util.find_spec("quixstreams"):
        os.execve(sys.executable, [sys.executable, *sys.argv], environment(packages()))


def _app(chosen: Options, folder: Path) -> Application:
    from quixstreams import Application

    return Application(
        broker_address=chosen.bootstrap,
        consumer_group=chosen.name(NAME),
        auto_offset_reset="earliest",
        state_dir=folder,
        producer_extra_config={"compression.type": "lz4", "acks": "all"},
        loglevel="WARNING",
    )


def build(chosen: Options, folder: Path, meter: Meter) -> Application:
    """The program: what Quix Streams' tutorial has in its one file."""
    app = _app(chosen, folder)
    changes = app.topic(chosen.topic, key_deserializer="str", value_deserializer="json")
    events = app.topic(chosen.out(NAME), key_serializer="str", value_serializer="json")
    frame = app.dataframe(changes)
    frame = frame.apply(_worker(meter, app.stop), stateful=True, metadata=True)
    frame.filter(lambda event: event is not None).to_topic(events)
    return app


def _worker(meter: Meter, stop: Callable[[], None]) -> Callable[..., Any]:
    from work import apply, empty

    def work(arrival: Any, key: str, _timestamp: int, _headers: Any, state: State) -> Any:
        held = state.get("state") or empty()
        event = apply(held, key, arrival)
        if event is not None:
            state.set("state", held)
        if meter.processed(1, event is not None):
            stop()
        return event

    return work


def main() -> None:
    """The command line."""
    _in_own_environment()
    from common import Meter, create_output, data_folder, options

    chosen = options(__doc__)
    create_output(chosen, NAME)
    meter = Meter(chosen.total, chosen.warmup)
    with data_folder() as folder:
        build(chosen, folder, meter).run()
    meter.report(NAME)


if __name__ == "__main__":
    main()
