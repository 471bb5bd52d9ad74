"""`python -m chaos`: a node on real Kafka under a seeded sequence of faults, and the proof at its end.

Promises: ends with one JSON line on stdout, and exits 0 only where nothing was lost, wrong, duplicated or unexplained.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from chaos.matrix import FAULTS, carry_out
from chaos.plan import Plan, fitting_rate


def main() -> int:
    """The exit code."""
    asked = _arguments().parse_args()
    changes = asked.changes or (3000 if asked.short else 20_000)
    plan = Plan(
        changes=changes,
        kills=7 if asked.kills is None else asked.kills,
        seed=asked.seed,
        workers=asked.workers,
        rate=asked.rate or fitting_rate(changes, asked.systems),
        systems=asked.systems,
        kafka=asked.kafka,
        short=asked.short,
        patience=asked.patience,
        faults=tuple(asked.faults.split(",")) if asked.faults else (),
    )
    if strange := set(plan.faults) - set(FAULTS):
        raise SystemExit(f"no such fault: {', '.join(sorted(strange))}; there are {', '.join(FAULTS)}")
    # Ended from outside, we still stop what we started.
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    screen = Console(stderr=True, quiet=asked.json)
    with _folder(keep=asked.keep) as folder:
        told = asyncio.run(carry_out(plan, folder, lambda text: screen.log(text, markup=False)))
    print(json.dumps(told), flush=True)
    clean = told["settled"] and not any(told[name] for name in ("lost", "wrong", "duplicated", "unexplained"))
    return 0 if clean else 1


@contextlib.contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="isthmus-chaos-"))
    try:
        yield folder
    finally:
        if keep:
            print(f"kept: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--changes", type=int, help="of both systems together")
    parser.add_argument("--kills", type=int, help="how often a worker is killed -9")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rate", type=float, help="changes a second while there are enough; unset: what fits the time")
    parser.add_argument(
        "--systems",
        choices=("feeds", "simulators"),
        default="feeds",
        help="made-up streams, or both simulators over HTTP",
    )
    parser.add_argument("--faults", help="these, in this order, instead of the seeded sequence; comma-separated")
    parser.add_argument("--patience", type=float, default=120.0, help="seconds to wait for anything to come right")
    parser.add_argument("--kafka", help="use this Kafka (host:port) instead of one of our own")
    parser.add_argument("--short", action="store_true", help="each labelled step, and a few troubles, once")
    parser.add_argument("--json", action="store_true", help="no progress on stderr")
    parser.add_argument("--keep", action="store_true", help="keep the run's folder, with the logs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
