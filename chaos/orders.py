"""Orders: what the harness tells a worker through files and one signal.

Promises: files are replaced whole, so a worker never reads half an order; a kill is heard once, on the signal that
announces it, and forgotten by the process that comes after.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from isthmus.tables.stage import STEPS

ORDERS, GATE = "orders.json", "gate"


@dataclass(frozen=True)
class Orders:
    """`step` and `nth`: die there, or with `hold` stand still there; `clock`: how wrong the clock is, in seconds; `pause`:
    how long each write takes."""

    step: str = ""
    nth: int = 0
    clock: float = 0.0
    pause: float = 0.0
    hold: bool = False


def give(folder: Path, orders: Orders) -> None:
    """For the worker of this folder."""
    _replace(folder / ORDERS, json.dumps(asdict(orders)))


def heard(folder: Path) -> Orders:
    """What was ordered last."""
    file = folder / ORDERS
    return Orders(**json.loads(file.read_text())) if file.exists() else Orders()


def open_gate(folder: Path, number: int) -> None:
    """Let this many deliveries of each system through."""
    _replace(folder / GATE, str(number))


def gate(folder: Path) -> int:
    """How many deliveries of each system may be told."""
    file = folder / GATE
    return int(file.read_text()) if file.exists() else 0


def is_step(name: str) -> bool:
    """Is it a labelled step of the unit of work?"""
    return name in STEPS


def _replace(file: Path, text: str) -> None:
    part = file.with_suffix(".part")
    part.write_text(text)
    os.replace(part, file)
