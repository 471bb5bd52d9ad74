"""Quality as an operator declares it: what has to hold of a golden record before it goes any further.

What a rule does is in tables/quality.py. Promises: a rule that loads can be judged; each names the fields that it looks at,
so that a record without rules, and a change of other fields, cost nothing.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from isthmus.config.transforms import Declared

Scalar = str | int | float | bool
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", description="Its name; one of the entity's own.")]


class When(Declared):
    """The rule counts only where this field has a value, or one of these."""

    field: str = Field(description="The canonical field.")
    values: tuple[Scalar, ...] = Field((), alias="is", description="Unset: any value.")


class Quality(Declared):
    """What all rules have in common."""

    name: Name
    message: str = Field("", description="What a steward is told; unset: what the rule itself says.")
    when: When | None = Field(None, description="Where the rule counts; unset: everywhere.")

    @property
    def fields_(self) -> tuple[str, ...]:
        """What the rule itself looks at."""
        raise NotImplementedError

    @cached_property
    def watched(self) -> tuple[str, ...]:
        """The canonical fields that it looks at."""
        return (*self.fields_, *((self.when.field,) if self.when else ()))


class Required(Quality):
    """Every one of these fields has a value; one that nobody has told of has none."""

    kind: Literal["required"]
    fields: tuple[str, ...] = Field(min_length=1)

    @property
    def fields_(self) -> tuple[str, ...]:
        """What it looks at."""
        return self.fields


class OfOne(Quality):
    """A rule over one field; a field without a value breaks none of them."""

    field: str

    @property
    def fields_(self) -> tuple[str, ...]:
        """What it looks at."""
        return (self.field,)


class Format(OfOne):
    """The value is written like this."""

    kind: Literal["format"]
    pattern: str | None = Field(None, description="A regular expression for the whole value.")
    form: Literal["email", "phone", "country"] | None = Field(
        None, description="What the transform of that name understands; a phone number with its country code."
    )

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as fault:
            raise ValueError(f"{pattern!r} is no regular expression: {fault}") from None
        return pattern

    @model_validator(mode="after")
    def _one(self) -> Format:
        if (self.pattern is None) == (self.form is None):
            raise ValueError("give it either a pattern or a form")
        return self


def _limit(told: Any) -> Any:
    """YAML reads days and moments as such; numbers keep their digits. ValueError for what is neither."""
    text = told.isoformat() if isinstance(told, date) else str(told)
    try:
        Decimal(text)
    except InvalidOperation:
        datetime.fromisoformat(text)
    return text


Limit = Annotated[str, BeforeValidator(_limit, json_schema_input_type=int | float | str)]


class Range(OfOne):
    """A number, day or moment within these limits, which count as within."""

    kind: Literal["range"]
    least: Limit | None = Field(None, alias="min")
    most: Limit | None = Field(None, alias="max")

    @model_validator(mode="after")
    def _limited(self) -> Range:
        if self.least is None and self.most is None:
            raise ValueError("give it a min, a max, or both")
        return self


class OneOf(OfOne):
    """The value is one of these."""

    kind: Literal["one_of"]
    values: tuple[Scalar, ...] = Field(min_length=1)


Operator = Literal["equal", "not_equal", "less", "at_most", "greater", "at_least", "together"]


class CrossField(Quality):
    """Two fields compared; `together`: both have a value or neither has. Elsewhere a field without a value breaks
    nothing."""

    kind: Literal["cross_field"]
    field: str
    operator: Operator
    other: str

    @property
    def fields_(self) -> tuple[str, ...]:
        """What it looks at."""
        return (self.field, self.other)


class Exists(OfOne):
    """What the field points at is a record that is known."""

    kind: Literal["reference"]


QualityRule = Annotated[Required | Format | Range | OneOf | CrossField | Exists, Field(discriminator="kind")]


class Stewards(Declared):
    """Who is told of a broken rule: a task, which is a record of an entity like any other."""

    tasks: str = Field(description="The entity that tasks are records of; it has the fields subject and status.")
    subject: str = Field("Isthmus: {entity} breaks the rule {rule}", description="May name {entity} and {rule}.")
    owner: str | None = Field(None, description="Goes into the task's field owner: the user's id in that system.")
    about: dict[str, str] = Field(
        default_factory=dict, description="A field of the task: the system whose record's id it holds."
    )
    regarding: dict[str, str] = Field(
        default_factory=dict,
        description="A reference of the task: it points at the record once that is in this system.",
    )

    @field_validator("subject")
    @classmethod
    def _formats(cls, subject: str) -> str:
        try:
            subject.format(entity="", rule="")
        except (KeyError, IndexError, ValueError):
            raise ValueError("may name {entity} and {rule} and nothing else in braces") from None
        return subject
