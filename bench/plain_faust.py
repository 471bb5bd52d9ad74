"""Plain Faust 0.15.3, as its tutorial would write the work: one agent, one table on RocksDB, one worker.

Faust's defaults throughout, but for lz4. JSON is Faust's own codec, which uses orjson where that is installed.
"""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import faust
from common import Meter, Options, create_output, data_folder
from common import options as from_command_line
from faust.types import StreamT
from work import Json, apply, empty

NAME = "plain_faust"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _app(chosen: Options, folder: Path) -> faust.App:
    return faust.App(
        chosen.name(NAME),
        broker=f"kafka://{chosen.bootstrap}",
        store="rocksdb://",
        datadir=str(folder),
        producer_compression_type="lz4",
        web_port=_free_port(),
    )


def build(chosen: Options, folder: Path, partitions: int) -> faust.App:
    """The program: everything that a Faust tutorial has in its one file."""
    app = _app(chosen, folder)
    changes = app.topic(chosen.topic, key_type=str, key_serializer="raw", value_serializer="json")
    events = app.topic(chosen.out(NAME), key_type=str, key_serializer="raw", value_serializer="json")
    states = app.Table("states", partitions=partitions)
    meter = Meter(chosen.total, chosen.warmup)

    @app.agent(changes)  # type: ignore[untyped-decorator]
    async def work(stream: StreamT[Json]) -> None:
        async for key, arrival in stream.items():
            state = states.get(key) or empty()
            event = apply(state, key, arrival)
            if event is not None:
                states[key] = state
                await events.send(key=key, value=event)
            if meter.processed(1, event is not None):
                await _finish(app, meter)

    return app


async def _finish(app: faust.App, meter: Meter) -> None:
    await app.producer.flush()
    meter.report(NAME)
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """The command line."""
    chosen = from_command_line(__doc__)
    with data_folder() as folder:
        app = build(chosen, folder, create_output(chosen, NAME))
        # As `worker -l info` in the tutorial: at "warning", Faust's spinner has every debug record made (and dropped).
        faust.Worker(app, loglevel="info", redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main()
