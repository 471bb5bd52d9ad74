"""A file of secrets: one a line, the newest first, so that while one is being renewed the old and the new one are valid.

Promises: read anew at each call; a failure is a ConfigError that names the file and nothing in it.
"""

from __future__ import annotations

from pathlib import Path

from isthmus.config.errors import ConfigError


def secrets_of(file: Path) -> tuple[str, ...]:
    """The secrets; ConfigError where the file cannot be read or holds none."""
    found = tuple(line.strip() for line in text_of(file).splitlines() if line.strip())
    if not found:
        raise ConfigError(f"{file}: holds no secret")
    return found


def text_of(file: Path) -> str:
    """All of it."""
    try:
        return file.read_text()
    except (OSError, ValueError) as fault:
        raise ConfigError(f"{file}: cannot be read: {type(fault).__name__}") from fault
