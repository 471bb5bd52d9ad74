"""The platform itself: a folder in which every object is a folder and every record a JSON file, with a log of all changes.

Promises: the log's lines are numbered from 1, and a record's version is the line that wrote it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Fields = Mapping[str, Any]


def put(shelf: Path, object: str, record_id: str, fields: Fields, by: str) -> int:
    """Change fields of a record, or make it; its new version."""
    before = get(shelf, object, record_id)
    version = _log(shelf, object, record_id, "update" if before else "create", fields, by)
    kept = {**(before or {}), **fields, "version": version}
    (shelf / object).mkdir(exist_ok=True)
    _file(shelf, object, record_id).write_text(json.dumps(kept))
    return version


def remove(shelf: Path, object: str, record_id: str, by: str) -> None:
    """Delete a record."""
    _file(shelf, object, record_id).unlink()
    _log(shelf, object, record_id, "delete", {}, by)


def get(shelf: Path, object: str, record_id: str) -> dict[str, Any] | None:
    """A record with its version; None where there is none."""
    file = _file(shelf, object, record_id)
    found: dict[str, Any] | None = json.loads(file.read_text()) if file.exists() else None
    return found


def ids(shelf: Path, object: str) -> list[str]:
    """The records of an object."""
    return sorted(file.stem for file in (shelf / object).glob("*.json"))


def log(shelf: Path, after: int) -> Iterator[tuple[int, str]]:
    """The log's lines after a number, each with its own."""
    file = shelf / "log.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return ((number, line) for number, line in enumerate(lines, 1) if number > after)


def _file(shelf: Path, object: str, record_id: str) -> Path:
    return shelf / object / f"{Path(record_id).name or '-'}.json"


def _log(shelf: Path, object: str, record_id: str, operation: str, fields: Fields, by: str) -> int:
    version = sum(1 for _ in log(shelf, 0)) + 1
    line = {"object": object, "id": record_id, "operation": operation, "fields": dict(fields), "by": by}
    with (shelf / "log.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    return version
