"""Webhooks and events, from a platform's form to ours: who may send them, which record they hint at, what to read.

Promises: keys of a file are read anew at each request, so changing them needs no restart; a body that is not understood
is a DecodeError for the reader's dead letter, never an answer to the sender.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web
from pydantic import SecretStr

from isthmus.agents.reread import Understand
from isthmus.codecs.arrival import Reread
from isthmus.config.errors import ConfigError, DecodeError
from isthmus.config.mapping import Mappings, SystemMapping
from isthmus.config.settings import Settings
from isthmus.node.hints import Name, Named
from isthmus.systems.dynamics.webhook import Keys, authenticate, hint
from isthmus.systems.operations import events
from isthmus.systems.secret_file import secrets_of

log = structlog.get_logger()


def authenticator(settings: Settings, system: str = "dynamics") -> Callable[[web.Request], bool]:
    """Does a request carry one of the keys that are valid now? Without any key nothing is let in."""
    way = _way(settings, system)
    if way is None:
        return lambda request: False
    keys, file = way
    if file is None:
        return lambda request: authenticate(request.headers, request.query, keys)
    return Renewed(keys, file)


class Renewed:
    """Keys of a file that is read anew at each request; one that cannot be read leaves those that were read last."""

    def __init__(self, keys: Keys, file: Path) -> None:
        self._keys, self._file = keys, file

    def __call__(self, request: web.Request) -> bool:
        """Does a request carry one of them?"""
        try:
            self._keys = replace(self._keys, values=secrets_of(self._file))
        except ConfigError as fault:
            log.error("webhooks prove themselves by the keys that were read last", fault=str(fault))
        return authenticate(request.headers, request.query, self._keys)


def _way(settings: Settings, system: str) -> tuple[Keys, Path | None] | None:
    """How a request proves itself, by the keys of the settings or of a file."""
    if system == "operations":
        own = settings.operations
        given = own is not None and (own.event_keys or own.event_keys_file)
        return (Keys("key", _values(own.event_keys)), own.event_keys_file) if own is not None and given else None
    webhook = settings.dynamics.webhook if settings.dynamics is not None else None
    if webhook is None:
        return None
    return Keys(webhook.kind, _values(webhook.keys), webhook.name), webhook.keys_file


def _values(keys: Sequence[SecretStr]) -> tuple[str, ...]:
    return tuple(key.get_secret_value() for key in keys)


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
    or that we only write, are passed over."""
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
        if (entity := mappings.of_object("dynamics", one.object)) and entity.systems["dynamics"].listened
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
