"""Rules: whose word counts for a field, or for fields that move together.

Promises: pure; a rule says in which order systems are asked, and nothing of what they say.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from isthmus.config.choices import Choice
from isthmus.config.transforms import Declared


class Owner(Declared):
    """One system is the system of record; what the others say never becomes the golden value."""

    owner: str = Field(description="The system of record.")

    @property
    def systems(self) -> tuple[str, ...]:
        """Whose word counts."""
        return (self.owner,)


class Precedence(Declared):
    """The first system of the list that has an opinion decides."""

    precedence: tuple[str, ...] = Field(min_length=1, description="Systems, strongest first.")

    @property
    def systems(self) -> tuple[str, ...]:
        """Whose word counts."""
        return self.precedence


Rule = Owner | Precedence | Literal["last_writer"]


def choice(fields: tuple[str, ...], rule: Rule, *, group: bool) -> Choice:
    """How these fields are chosen by a rule."""
    match rule:
        case Owner(owner=system):
            return Choice(fields, (system,), f"owner {system}", group)
        case Precedence(precedence=systems):
            return Choice(fields, systems, f"precedence {' > '.join(systems)}", group)
    return Choice(fields, (None,), "last_writer", group)
