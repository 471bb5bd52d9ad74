"""`isthmus decode`: a platform's own messages in, the changes they stand for out, a line each.

Promises: takes one JSON document, an array of documents, or documents one after another (JSON lines); lines come out in
the order of the input. A message that cannot be decoded gives no line at all, ends the run, and is named on stderr.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import orjson

from isthmus.codecs import dynamics_webhook, salesforce_cometd
from isthmus.codecs.change import Change
from isthmus.codecs.exact import documents
from isthmus.config.errors import DecodeError

Kind = Literal["salesforce-cometd", "dynamics-webhook"]

OK, MISUSED = 0, 2
DECODERS: Mapping[Kind, Callable[[Any], list[Change]]] = {
    "salesforce-cometd": salesforce_cometd.decode,
    "dynamics-webhook": dynamics_webhook.decode,
}


def decode_command(kind: Kind, file: str = "-") -> int:
    """Print the changes of a file's messages (`-` is stdin) as JSON lines. 0; or 2 where file or message is bad."""
    try:
        _print(changes(kind, _read(file)))
    except BrokenPipeError:
        # Whoever reads us has seen enough; what is left in the buffer must not fail when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, DecodeError) as fault:
        told = fault.strerror if isinstance(fault, OSError) else str(fault)
        print(f"error: {'stdin' if file == '-' else file}: {told}", file=sys.stderr)
        return MISUSED
    return OK


def _print(found: Iterator[Change]) -> None:
    """As UTF-8 whatever the locale; what came before a fault is printed before the fault is told."""
    try:
        for change in found:
            sys.stdout.buffer.write(orjson.dumps(change.to_wire()) + b"\n")
    finally:
        sys.stdout.flush()


def changes(kind: Kind, raw: bytes) -> Iterator[Change]:
    """The changes of every message in a text. DecodeError names the message by its line and its number in an array."""
    for where, message in _messages(raw):
        try:
            yield from DECODERS[kind](message)
        except DecodeError as fault:
            raise DecodeError(_joined(where, fault)) from fault


def _joined(where: str, fault: DecodeError) -> str:
    if where.endswith("]") and fault.place:
        return f"{where}{'' if fault.place.startswith('[') else '.'}{fault}"
    return f"{where}: {fault}" if where else str(fault)


def _messages(raw: bytes) -> Iterator[tuple[str, Any]]:
    several = False
    for line, document in documents(raw):
        where = f"line {line}" if several else ""
        several = True
        if isinstance(document, list):
            yield from ((f"{where}[{number}]", message) for number, message in enumerate(document))
        else:
            yield where, document


def _read(file: str) -> bytes:
    return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
