"""`isthmus decode`: a platform's own messages in, the changes they stand for out, a line each.

Promises: takes one JSON document, an array of documents, or documents one after another (JSON lines); of the Pub/Sub API,
payloads as base64, one a line. Lines come out in the order of the input. A message that cannot be decoded gives no line
at all and is named on stderr. It ends the run where the messages are JSON, because nobody knows where the next begins;
payloads have their lines, so the rest of them is decoded, and the run still fails.
"""

from __future__ import annotations

import base64
import binascii
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import orjson

from isthmus.codecs import dynamics_webhook, salesforce_cometd, salesforce_pubsub
from isthmus.codecs.change import Change
from isthmus.codecs.exact import documents
from isthmus.codecs.salesforce_pubsub import EventSchema
from isthmus.config.errors import ConfigError, DecodeError

Kind = Literal["salesforce-cometd", "salesforce-pubsub", "dynamics-webhook"]
Decode = Callable[[Any], list[Change]]
# A message's changes, or what is wrong with it.
Decoded = list[Change] | DecodeError

OK, MISUSED = 0, 2
DECODERS: Mapping[Kind, Decode] = {
    "salesforce-cometd": salesforce_cometd.decode,
    "dynamics-webhook": dynamics_webhook.decode,
}


def decode_command(kind: Kind, file: str = "-", schema: Path | None = None) -> int:
    """Print the changes of a file's messages (`-` is stdin) as JSON lines. 0; or 2 where file or message is bad.

    `schema` is the file of the Avro schema that payloads of the Pub/Sub API need, and nothing else takes.
    """
    if (schema is None) == (kind == "salesforce-pubsub"):
        return _complain(f"{kind} {'needs' if schema is None else 'takes no'} --schema FILE, an event's Avro schema")
    name = "stdin" if file == "-" else file
    try:
        found = messages(kind, _read(file)) if schema is None else payloads(_schema(schema), _read(file))
        return _print(name, found)
    except BrokenPipeError:
        # Whoever reads us has seen enough; what is left in the buffer must not fail when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except ConfigError as fault:
        return _complain(str(fault))
    except OSError as fault:
        return _complain(f"{name}: {fault.strerror}")


def _complain(told: str) -> int:
    print(f"error: {told}", file=sys.stderr)
    return MISUSED


def _print(name: str, found: Iterator[Decoded]) -> int:
    """As UTF-8 whatever the locale; what came before a fault is printed before the fault is told."""
    code = OK
    for decoded in found:
        if isinstance(decoded, DecodeError):
            sys.stdout.flush()
            code = _complain(f"{name}: {decoded}")
            continue
        for change in decoded:
            sys.stdout.buffer.write(orjson.dumps(change.to_wire()) + b"\n")
    sys.stdout.flush()
    return code


def messages(kind: Kind, raw: bytes) -> Iterator[Decoded]:
    """What every JSON message in a text comes to, up to the first bad one, which is named by its line and its number in
    an array."""
    try:
        for where, message in _messages(raw):
            try:
                yield DECODERS[kind](message)
            except DecodeError as fault:
                raise DecodeError(_joined(where, fault)) from fault
    except DecodeError as fault:
        yield fault


def payloads(schema: EventSchema, raw: bytes) -> Iterator[Decoded]:
    """What every line's payload, as base64, comes to; a bad one is named by its line. Empty lines are none."""
    for number, line in enumerate(raw.splitlines(), start=1):
        if told := line.strip():
            try:
                yield salesforce_pubsub.decode(base64.b64decode(told, validate=True), schema)
            except binascii.Error as fault:
                yield DecodeError(f"line {number}: not base64: {fault}")
            except DecodeError as fault:
                yield DecodeError(f"line {number}: {fault}")


def _schema(file: Path) -> EventSchema:
    try:
        return salesforce_pubsub.read_schema(file.read_bytes())
    except (OSError, DecodeError) as fault:
        raise ConfigError(f"{file}: {fault.strerror if isinstance(fault, OSError) else fault}") from fault


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
