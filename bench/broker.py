"""A Kafka for the benchmark that runs until Ctrl-C or SIGTERM, where none is at hand; prints its bootstrap servers."""

from __future__ import annotations

import contextlib
import signal

from isthmus.node.broker import running_kafka


def main() -> None:
    """Start it, say where it is, wait to be told to end."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with running_kafka() as bootstrap, contextlib.suppress(KeyboardInterrupt):
        print(bootstrap, flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
