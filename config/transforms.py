"""Transforms as an operator declares them: how a field's value in one system becomes the canonical one, and back.

Each is declared here once, by its name (`kind`) and options; what it does is in codecs/transforms.py, and the table in
docs/reference/transforms.md is made of these declarations. Promises: an option that cannot work is refused when the mapping
is read.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self, get_args
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

Alpha2 = Annotated[str, Field(pattern="^[A-Z]{2}$")]


class Declared(BaseModel):
    """Strict and frozen: an unknown key is an error, a loaded mapping never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def __copy__(self) -> Self:
        """A copy, of which something may become another: what follows from it, it works out itself."""
        copied = super().__copy__()
        for name in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[name]
        return copied


class Trim(Declared):
    """Text without blanks around it; a text of blanks alone is none."""

    types: ClassVar[frozenset[str]] = frozenset({"string"})
    canonical: ClassVar[str] = "the text itself"
    kind: Literal["trim"] = "trim"


class Email(Declared):
    """An e-mail address in lower case; refused where it is none."""

    types: ClassVar[frozenset[str]] = frozenset({"string"})
    canonical: ClassVar[str] = "`ann@alder.example`"
    kind: Literal["email"] = "email"


class Phone(Declared):
    """A telephone number in international form, with its extension if it has one; a number without a country code is
    read as one of the record's country, else of `region`."""

    types: ClassVar[frozenset[str]] = frozenset({"string"})
    canonical: ClassVar[str] = "E.164: `+493012345678`, `+493012345678;ext=12`"
    kind: Literal["phone"] = "phone"
    region: Alpha2 | None = Field(default=None, description="Where a number without a country code is from: `DE`.")
    country: str | None = Field(default=None, description="The canonical field with the country, which goes first.")
    form: Literal["e164", "international"] = Field(default="e164", description="How the number is written here.")


class Country(Declared):
    """A country: names, alpha-2, alpha-3 and numeric codes are all understood."""

    types: ClassVar[frozenset[str]] = frozenset({"string", "option"})
    canonical: ClassVar[str] = "ISO 3166-1 alpha-2: `DE`"
    kind: Literal["country"] = "country"
    form: Literal["name", "alpha_2", "alpha_3", "numeric"] = Field(
        default="name", description="How it is written here."
    )
    aliases: dict[str, Alpha2] = Field(default_factory=dict, description="Further names: `Deutschland: DE`.")


class State(Declared):
    """A state, province or region: its name, its own code (`BY`) or the whole one (`DE-BY`). Names and own codes need
    the country."""

    types: ClassVar[frozenset[str]] = frozenset({"string", "option"})
    canonical: ClassVar[str] = "ISO 3166-2: `DE-BY`"
    kind: Literal["state"] = "state"
    region: Alpha2 | None = Field(default=None, description="The country of all of them: `US`.")
    country: str | None = Field(default=None, description="The canonical field with the country, which goes first.")
    form: Literal["name", "code", "iso"] = Field(default="name", description="How it is written here.")
    aliases: dict[str, str] = Field(default_factory=dict, description="Further names: `Bavaria: DE-BY`.")

    @model_validator(mode="after")
    def _somewhere(self) -> State:
        if self.region is None and self.country is None and self.form != "iso":
            raise ValueError("give it a region or a country field: a name alone does not tell the country")
        return self


class Currency(Declared):
    """A currency's code."""

    types: ClassVar[frozenset[str]] = frozenset({"string", "option"})
    canonical: ClassVar[str] = "ISO 4217: `EUR`"
    kind: Literal["currency"] = "currency"
    form: Literal["code", "numeric", "name"] = Field(default="code", description="How it is written here.")
    aliases: dict[str, Annotated[str, Field(pattern="^[A-Z]{3}$")]] = Field(
        default_factory=dict, description="Further names: `€: EUR`."
    )


class Money(Declared):
    """An amount as decimal text, every digit kept, without zeros that say nothing; refused where this system would have
    to round it."""

    types: ClassVar[frozenset[str]] = frozenset({"money", "number"})
    canonical: ClassVar[str] = "decimal text: `50000`, `0.5`"
    kind: Literal["money"] = "money"
    digits: int | None = Field(default=None, ge=0, le=10, description="Digits after the point that this system holds.")
    form: Literal["number", "text"] = Field(default="number", description="How it is written here, as JSON.")


class Picklist(Declared):
    """A choice, by the field's table `values`: canonical value to each system's own. A value that is not in the table is
    refused, never dropped."""

    types: ClassVar[frozenset[str]] = frozenset({"string", "option"})
    canonical: ClassVar[str] = "a key of the field's `values`"
    kind: Literal["picklist"] = "picklist"
    aliases: dict[str, str] = Field(
        default_factory=dict, description="Further values here, each with its canonical one."
    )


class Zoned(Declared):
    """What days and times have in common."""

    zone: str | None = Field(
        default=None, description="The time zone that this system means: `Europe/Berlin`. Unset: UTC."
    )
    format: str | None = Field(default=None, description="How it is written here, where not as ISO 8601: `%d.%m.%Y`.")

    @field_validator("zone")
    @classmethod
    def _known(cls, zone: str | None) -> str | None:
        try:
            return zone if zone is None else ZoneInfo(zone).key
        except (ValueError, OSError, KeyError):
            raise ValueError(f"there is no time zone {zone!r}") from None


class Date(Zoned):
    """A day; also out of a column that holds a time, whose day in `zone` it is, written back as that day's midnight."""

    types: ClassVar[frozenset[str]] = frozenset({"date"})
    canonical: ClassVar[str] = "`2026-11-24`"
    kind: Literal["date"] = "date"
    form: Literal["date", "datetime"] = Field(default="date", description="What the column holds.")


class Datetime(Zoned):
    """A moment, to the second, which is what both platforms keep; a time without a zone is one of `zone`."""

    types: ClassVar[frozenset[str]] = frozenset({"datetime"})
    canonical: ClassVar[str] = "RFC 3339 in UTC: `2026-11-24T08:30:00Z`"
    kind: Literal["datetime"] = "datetime"


class NamePart(Declared):
    """Part of a column with a person's whole name; map both parts to the same column. Written back only where the whole
    name would be read as the same parts again."""

    types: ClassVar[frozenset[str]] = frozenset({"string"})
    canonical: ClassVar[str] = "the part: `Ann`, `van der Berg`"
    kind: Literal["name_part"] = "name_part"
    part: Literal["first", "last"] = Field(description="Which part the field is.")
    form: Literal["first last", "last, first"] = Field(default="first last", description="How it is written here.")


Transform = (
    Trim | Email | Phone | Country | State | Currency | Money | Picklist | Date | Datetime | NamePart
)  # fmt: skip
KINDS: tuple[type[Any], ...] = get_args(Transform)
Short = Literal[
    "trim", "email", "phone", "country", "currency", "money", "picklist", "date", "datetime"
]  # fmt: skip


def _spelled(told: Any) -> Any:
    """`phone` is short for `{kind: phone}`."""
    return {"kind": told} if isinstance(told, str) else told


AnyTransform = Annotated[
    Annotated[Transform, Field(discriminator="kind")],
    BeforeValidator(_spelled, json_schema_input_type=Short | Annotated[Transform, Field(discriminator="kind")]),
]


class Column(Declared):
    """A canonical field in one system."""

    column: str = Field(min_length=1, description="The system's own field name.")
    direction: Literal["both", "in", "out"] = Field(
        "both", description="`in`: we only listen; `out`: we only write; what the system says does not count."
    )
    bind: str | None = Field(
        default=None,
        description="Dynamics, for a lookup: the navigation property to write it by, e.g. parentcustomerid_account.",
    )
    transform: AnyTransform | None = Field(
        default=None, description="How its value becomes the canonical one, and back."
    )

    @property
    def inward(self) -> bool:
        """Do we listen to it?"""
        return self.direction != "out"

    @property
    def outward(self) -> bool:
        """Do we write it?"""
        return self.direction != "in"


def _plain(told: Any) -> Any:
    """`Phone` is short for `{column: Phone}`."""
    return {"column": told} if isinstance(told, str) else told


AnyColumn = Annotated[Column, BeforeValidator(_plain, json_schema_input_type=str | Column)]
