"""Webhooks and events, from a platform's form to ours: who may send them, which record they hint at, what to read.

Promises: a body that is not understood is a DecodeError for the reader's dead letter, never an answer to the sender.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from aiohttp import web

from isthmus.agents.reread import Understand
from isthmus.codecs.arrival import Reread
from isthmus.config.errors import DecodeError
from isthmus.config.mapping import Mappings, SystemMapping
from isthmus.config.settings import Settings
from isthmus.node.hints import Name, Named
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


def hint_reader(system: str, mappings: Mappings) -> Understand | None:
    """How a system's raw hints become read requests; None for a system that sends none."""
    if system == "operations":
        return partial(understand_event, mappings.objects(system))
    return partial(understand, mappings) if system == "dynamics" else None


def name_reader(system: str, mappings: Mappings) -> Name:
    """How a body names itself: by the record that `hint_reader` asks for."""
    return record_named if system == "dynamics" else partial(event_record, mappings.objects(system))


def understand(mappings: Mappings, message: Any) -> Sequence[Reread]:
    """The records that a webhook hints at; those of tables that are not mapped, such as the other end of an Associate,
    are passed over."""
    headers = {name: value.decode() for name, value in message.headers or ()}
    return [
        # A row tells when it was changed, unless it is gone.
        Reread(
            one.object,
            one.record_id,
            one.correlation or one.change_id,
            at=one.at if one.operation == "delete" else None,
            # That it was merged is news also where the row says nothing new.
            nonce=one.change_id if one.merged_into else None,
            merged_into=one.merged_into,
        )
        for one in hint(message.value, headers)
        if mappings.of_object("dynamics", one.object) is not None
    ]


def record_named(body: bytes) -> Named | None:
    """The record a body is about, the first of several; None where it does not say."""
    try:
        hints = hint(body, {})
    except DecodeError:
        return None
    return Named(hints[0].record_id, hints[0].change_id) if hints else None


def understand_event(objects: Mapping[str, SystemMapping], message: Any) -> Sequence[Reread]:
    """The record that an event of Finance & Operations hints at. The answer is a change of its own, under the event's
    id, so that a second delivery is known for what it is."""
    found = events.hint(message.value, objects)
    if found is None:
        return []
    return [Reread(found.object, found.record_id, found.correlation, nonce=found.change_id, at=found.at)]


def event_record(objects: Mapping[str, SystemMapping], body: bytes) -> Named | None:
    """The record an event is about; None where it does not say."""
    try:
        found = events.hint(body, objects)
    except DecodeError:
        return None
    return None if found is None else Named(found.record_id, found.change_id)
