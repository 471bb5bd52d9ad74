"""Sharing: golden records that say the same of a match key and are not one, which a person has to compare.

Promises: one question a match key, whoever comes last, with all records that say it side by side; it stays until it is
said of each two of their golden records whether they are one; pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from isthmus.codecs.change import Value
from isthmus.codecs.reviews import Review, Side
from isthmus.tables.claims import Claim
from isthmus.tables.identity import Find, barred, root

KIND = "shared"


def question(find: Find, key: bytes, at: str) -> Review:
    """Are those that share this key the same? `at`: when the last of them told it, RFC 3339."""
    claim = find(key) or Claim("")
    _, entity, shared = key.decode().split(":", 2)
    sides = tuple(_side(record, find(record.encode())) for record in claim.records)
    why = f"they share {shared}, and some are of one system: it links nobody any more"
    return Review(f"{KIND}|{entity}|{shared}", "match", entity, "", at, "", sides, (why,))


def key_of(question: str) -> bytes | None:
    """The match key that a question by this id is about; None where it is another kind of question."""
    kind, _, rest = question.partition("|")
    entity, _, shared = rest.partition("|")
    return f"match:{entity}:{shared}".encode() if kind == KIND else None


def is_open(find: Find, key: bytes) -> bool:
    """Are there two golden records that share this key and of which nobody has said that they are two?"""
    claim = find(key) or Claim("")
    claims = (find(record.encode()) for record in claim.records)
    known = sorted({root(find, one.canonical) for one in claims if one is not None})
    return any(not barred(find, one, other) for one, other in combinations(known, 2))


def _side(record: str, claim: Claim | None) -> Side:
    system, _, native = record.partition(":")
    return Side(system, native, _told(claim.said if claim else {}))


def _told(said: Mapping[str, Value]) -> str:
    """What a record says of the fields by which it may be known."""
    return ", ".join(f"{name}={value}" for name, value in said.items() if value is not None)
