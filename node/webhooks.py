"""Webhooks, from the platform's form to ours: who may send them, which record they hint at, what to read for them.

Promises: a body that is not understood is a DecodeError for the reader's dead letter, never an answer to the sender.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from aiohttp import web

from isthmus.agents.reread import Understand
from isthmus.codecs.arrival import Reread
from isthmus.config.errors import DecodeError
from isthmus.config.mapping import Mappings
from isthmus.config.settings import Settings
from isthmus.node.hints import Named
from isthmus.systems.dynamics.webhook import Keys, authenticate, hint


def authenticator(settings: Settings) -> Callable[[web.Request], bool]:
    """Does a request carry one of the keys that are valid now? Without any key nothing is let in."""
    webhook = settings.dynamics.webhook if settings.dynamics is not None else None
    if webhook is None:
        return lambda request: False
    keys = Keys(webhook.kind, tuple(key.get_secret_value() for key in webhook.keys), webhook.name)
    return lambda request: authenticate(request.headers, request.query, keys)


def hint_reader(system: str, mappings: Mappings) -> Understand | None:
    """How a system's raw hints become read requests; None for a system that sends none."""
    return partial(understand, mappings) if system == "dynamics" else None


def understand(mappings: Mappings, message: Any) -> Sequence[Reread]:
    """The records that a webhook hints at; those of tables that are not mapped, such as the other end of an Associate,
    are passed over."""
    headers = {name: value.decode() for name, value in message.headers or ()}
    return [
        Reread(one.object, one.record_id, one.correlation or one.change_id)
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
