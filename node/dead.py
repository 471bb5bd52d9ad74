"""`isthmus dead`: dead letters on a terminal, asked of the running workers.

Promises: prints JSON or a table on stdout, progress and complaints on stderr; 0 where everything asked for was done, 1
where something was not; nothing is changed in bulk unless somebody said yes.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.progress import track
from rich.table import Table

from isthmus.config.errors import ConfigError
from isthmus.config.settings import Settings
from isthmus.node.door import Door, NotDone, myself, printed, through

PAGE = 500
AT_ONCE = 100
LINE = ("id", "state", "system", "entity", "record", "code", "died", "last", "error")
HEAD = (
    "id",
    "state",
    "stage",
    "topic",
    "system",
    "entity",
    "mapping",
    "record",
    "correlation",
    "code",
    "error",
    "hint",
)
Asked = Mapping[str, str | None]


async def _letters(door: Door, wanted: Asked, most: int) -> tuple[list[dict[str, Any]], int]:
    """The newest that match, and how many do."""
    found: list[dict[str, Any]] = []
    before = ""
    while True:
        query = {name: value for name, value in wanted.items() if value is not None}
        told = await door.get("/v1/dead", query | {"limit": str(min(PAGE, most - len(found))), "before": before})
        if not told["complete"]:
            print("warning: some partitions did not answer, their letters are missing", file=sys.stderr)
        found += told["letters"]
        before = told["next"] or ""
        if not before or len(found) >= most:
            return found, told["total"]


def list_letters(settings: Settings, wanted: Asked, limit: int, *, as_json: bool) -> int:
    """List; the exit code."""

    async def work(door: Door) -> int:
        letters, total = await _letters(door, wanted, limit)
        if as_json:
            printed({"letters": letters, "total": total})
        else:
            _table(letters, total)
        return 0

    return through(settings, work)


def _table(letters: Sequence[Mapping[str, Any]], total: int) -> None:
    screen = Console()
    table = Table(box=None, header_style="bold")
    for name in LINE:
        table.add_column(name, overflow="fold", no_wrap=name in ("id", "state", "code"))
    for letter in letters:
        table.add_row(*(str(letter[name]) for name in LINE))
    if letters:
        screen.print(table, markup=False)
    screen.print(f"{len(letters)} of {total}")


def show_letter(settings: Settings, letter: str, *, as_json: bool) -> int:
    """Show one; the exit code."""

    async def work(door: Door) -> int:
        told = await door.get(f"/v1/dead/{letter}", {})
        if as_json:
            printed(told)
        else:
            _tell(told)
        return 0

    return through(settings, work)


def _tell(told: Mapping[str, Any]) -> None:
    screen = Console(soft_wrap=True, markup=False, highlight=False)
    for name in HEAD:
        if told[name]:
            screen.print(f"{name:>12}  {told[name]}")
    for one in told["attempts"]:
        screen.print(f"{'attempt':>12}  {one['at']} {one['code']}: {one['error']} {one['place']}".rstrip())
    for one in told["deeds"]:
        screen.print(f"{one['done']:>12}  {one['at']} by {one['by']} {one['note']}".rstrip())
    for number, one in enumerate(told["edits"], 1):
        screen.print(f"{f'edit {number}':>12}  {one['before']}\n{'became':>12}  {one['after']}")
    screen.print(f"{'original':>12}  {told['original']}")
    if told["change"]:
        screen.print(f"{'change':>12}  {orjson.dumps(told['change'], option=orjson.OPT_INDENT_2).decode()}")


def edit_letter(settings: Settings, letter: str, file: str | None, by: str) -> int:
    """Edit one; the exit code."""

    async def work(door: Door) -> int:
        told = await door.get(f"/v1/dead/{letter}", {})
        before = told["payload"] or told["original"]
        payload = _edited(before) if file is None else _given(file)
        if payload == before:
            raise NotDone("nothing was changed")
        done = await door.post(f"/v1/dead/{letter}/edit", {"payload": payload, "by": by or myself()})
        return _summed(done["results"], as_json=False)

    return through(settings, work)


def _given(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text()
    except OSError as fault:
        raise ConfigError(f"{file} cannot be read: {fault.strerror}") from None


def _edited(before: str) -> str:
    """What a person made of it in their editor; without the newline that editors put at the end."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor:
        raise NotDone("there is no editor", hint="set EDITOR, or give --file")
    with tempfile.TemporaryDirectory(prefix="isthmus-") as folder:
        path = Path(folder) / "letter.json"
        path.write_text(before)
        subprocess.run([*shlex.split(editor), str(path)], check=True)
        return path.read_text().removesuffix("\n")


def order_letters(
    settings: Settings, action: str, ids: Sequence[str], wanted: Asked | None, by: str, *, sure: bool, as_json: bool
) -> int:
    """Replay or discard these, or all that match `wanted`; the exit code."""
    if bool(ids) == (wanted is not None):
        raise ConfigError(f"say which letters to {action}", hint="give ids, or --all with filters")

    async def work(door: Door) -> int:
        chosen = list(ids)
        if wanted is not None:
            found, _ = await _letters(door, {**wanted, "state": wanted["state"] or "open"}, sys.maxsize)
            chosen = [one["id"] for one in found]
            if chosen and not (sure or _agreed(f"{action} {len(chosen)} letters?")):
                return 1
        results: list[dict[str, Any]] = []
        steps = range(0, len(chosen), AT_ONCE)
        screen = Console(stderr=True)
        for first in track(steps, action, console=screen, disable=len(steps) < 2 or not screen.is_terminal):
            body = {"ids": chosen[first : first + AT_ONCE], "by": by or myself()}
            results += (await door.post(f"/v1/dead/{action}", body))["results"]
        return _summed(results, as_json=as_json)

    return through(settings, work)


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise ConfigError(question, hint="say --yes")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _summed(results: Sequence[Mapping[str, str]], *, as_json: bool) -> int:
    counts = Counter(one["done"] for one in results)
    if as_json:
        printed({**counts, "results": results})
    else:
        for one in results:
            if one["done"] in ("refused", "missing", "pending") or len(results) == 1:
                print(f"{one['id']}  {one['done']}  {one['note']}".rstrip())
        print(", ".join(f"{number} {done}" for done, number in sorted(counts.items())) or "there are none")
    return 1 if counts.keys() & {"refused", "missing", "pending"} else 0
