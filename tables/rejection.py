"""What a golden record that breaks a rule has not told yet.

Promises: it survives its JSON; a record that never broke a rule has none of it.
"""

from __future__ import annotations

import msgspec

from isthmus.codecs.change import Value

# The reason of a rule of which it is not known yet whether it is broken: nothing is told meanwhile, and nobody is asked.
ASKED = "it is asked whether it is known"


class Rejection(msgspec.Struct, gc=False, omit_defaults=True):
    """`broken`: each broken rule with its reason, none where the record goes on its way. `told`: fields that changed since
    the world was told of them, with the value it was told; `living`: the records in which it lived for the world.
    `parked`: how many changes of each system wait. `words`: how often the broken rules became others."""

    broken: dict[str, str] = {}
    told: dict[str, Value] = {}
    living: tuple[tuple[str, str], ...] = ()
    parked: dict[str, int] = {}
    words: int = 0

    @property
    def spoken(self) -> dict[str, str]:
        """The rules that are known to be broken."""
        return {name: reason for name, reason in self.broken.items() if reason != ASKED}
