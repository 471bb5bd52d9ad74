"""Webhooks and events, from a platform's form to ours: who may send them, which record they hint at, what to read.

Promises: a body that is not understood is a DecodeError for the reader's dead letter, never an answer to the sender.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiohttp import web

from isthmus.agents.reread import Understand
from isthmus.codecs.arrival import Reread
from isthmus.config.errors import DecodeError
from isthmus.config.mapping import Mappings, SystemMapping
from isthmus.config.settings import Settings
from isthmus.systems.dynamics.webhook import Keys, authenticate, hint
from isthmus.systems.operations import events


def authenticator(settings: Settings, system: str = "dynamics") -> Callable[[web.Request], bool]:
    """Does a request carry one of the keys that are valid now? Without any key nothing is let in."""
    keys = _keys(settings, system)
    if keys is None:
        return lambda request: False
    return lambda request: authenticate(request.headers, request.query, keys)


def _keys(settings: Settings, system: str) -> Keys | None:
    if system == "operations":
        values = settings.operations.event_keys if settings.operations is not None else ()
        return Keys("key", tuple(key.get_secret_value() for key in values)) if values else None
    webhook = settings.dynamics.webhook if settings.dynamics is not None else None
    if webhook is None:
        return None
    return Keys(webhook.kind, tuple(key.get_secret_value() for key in webhook.keys), webhook.name)


def hint_reader(system: str, mappings: Mappings | None = None) -> Understand | None:
    """How a system's raw hints become read requests; None for a system that sends none."""
    if system == "operations":
        objects = mappings.objects(system) if mappings is not None else {}
        return lambda message: understand_event(message, objects)
    return understand if system == "dynamics" else None


def name_reader(system: str, mappings: Mappings) -> Callable[[bytes], str | None]:
    """How a body tells the record it is about; the same record that `hint_reader` asks for."""
    objects = mappings.objects(system)
    return record_named if system == "dynamics" else lambda body: event_record(body, objects)


def understand(message: Any) -> Sequence[Reread]:
    """The records that a webhook hints at."""
    headers = {name: value.decode() for name, value in message.headers or ()}
    return [Reread(h.object, h.record_id, h.correlation or h.change_id) for h in hint(message.value, headers)]


def record_named(body: bytes) -> str | None:
    """The record a body is about; None where it does not say."""
    try:
        hints = hint(body, {})
    except DecodeError:
        return None
    return hints[0].record_id if hints else None


def understand_event(message: Any, objects: Mapping[str, SystemMapping]) -> Sequence[Reread]:
    """The record that an event of Finance & Operations hints at. The answer is a change of its own, under the event's
    id, so that a second delivery is known for what it is."""
    found = events.hint(message.value, objects)
    if found is None:
        return []
    return [Reread(found.object, found.record_id, found.correlation, nonce=found.change_id, at=found.at)]


def event_record(body: bytes, objects: Mapping[str, SystemMapping]) -> str | None:
    """The record an event is about; None where it does not say."""
    try:
        found = events.hint(body, objects)
    except DecodeError:
        return None
    return None if found is None else found.record_id
