"""Progress of a download: a bar on a terminal, a few plain lines anywhere else. Always on stderr."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

MEGABYTE = 1_000_000
STEP = 0.25


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Gives a function to call, from any thread, with the bytes done since the last call."""
    with _bar(what, total) if sys.stderr.isatty() else _lines(what, total) as advance:
        yield advance


@contextmanager
def _bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total)
        yield lambda size: bar.advance(task, size)


@contextmanager
def _lines(what: str, total: int) -> Iterator[Callable[[int], None]]:
    done, said, lock = 0, 0.0, threading.Lock()

    def advance(size: int) -> None:
        nonlocal done, said
        with lock:
            done += size
            if done / total >= said + STEP or done == total:
                said = done / total
                _say(f"{what}: {done / MEGABYTE:.0f} of {total / MEGABYTE:.0f} MB")

    _say(f"{what}, {total / MEGABYTE:.0f} MB")
    yield advance


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
