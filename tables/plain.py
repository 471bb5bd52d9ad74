"""Plain: the usual change, of a golden record's only record and newer than all that it has said, taken in in one go.

Promises: it comes to what tables/hearing.py and tables/choosing.py come to of it; a change that is not of that kind is left
to them, and has changed nothing. No clock, no chance, no I/O.
"""

from __future__ import annotations

from isthmus.codecs.change import Value
from isthmus.codecs.events import Changed
from isthmus.codecs.linked import Linked
from isthmus.config.choices import Choice
from isthmus.config.followed import Followed
from isthmus.tables.golden import Golden
from isthmus.tables.precedence import differ
from isthmus.tables.registers import Held, Said
from isthmus.tables.showing import NOWHERE

Values = dict[str, Value]
Places = dict[str, int]


def take(golden: Golden, change: Linked, mapping: Followed) -> dict[str, Changed] | None:
    """What is different by it, by field; None where it is of another kind. That it lives and goes on living is known."""
    system, native_id = change.system, change.native_id
    held, led = _only(golden, system, native_id), mapping.heard.get(system)
    if held is None or led is None or change.row:
        return None
    values: Values = dict(change.values() if change.cleared else change.fields)
    intents, known = golden.intents.get(system) if golden.intents else None, held.said
    if (
        not values
        or not known
        or known[0].version >= change.version
        or (intents and not intents.keys().isdisjoint(values))
    ):
        return None
    return _taken(held, known, change, values, led)


def _only(golden: Golden, system: str, native_id: str) -> Held | None:
    """The registers of the record, where no other has any and what it says now is what counts."""
    registers = golden.registers
    natives = registers.get(system) if len(registers) == 1 else None
    held = natives.get(native_id) if natives is not None and len(natives) == 1 else None
    return None if held is None or held.own else held


def _taken(
    held: Held, known: list[Said], change: Linked, values: Values, led: dict[str, Choice]
) -> dict[str, Changed] | None:
    """`known`: what it said until now; `led`: the fields on which its system is asked."""
    shown, rules = held.shown, held.rules
    olds: list[Values] = [said.values for said in known]
    changed: dict[str, Changed] = {}
    names: list[str] = []
    taken: list[Values] = []
    whole: Choice | None = None
    for name, value in values.items():
        choice = led.get(name)
        if choice is None or choice is not whole:
            if not _is_shown_so(shown, rules, name, choice):
                return None
            whole = choice if choice is not None and choice.group else whole
        number = _place(olds, name)
        if number == NOWHERE:
            continue
        old = olds[number]
        names.append(name)
        taken.append(old)
        if choice is not None and differ(before := old[name], value):
            changed[name] = Changed(value, before, choice.rule)
    for number, name in enumerate(names):
        del taken[number][name]
    held.said = [Said(change.version, change.changed_at, change.change_id, False, values)]
    held.said += [said for said in known if said.values]
    return changed


def _is_shown_so(shown: Places, rules: list[str], name: str, choice: Choice | None) -> bool:
    """Does a field count as this choice has it, with all others of its group; without any, not at all?"""
    at = shown.get(name, NOWHERE)
    if choice is None or at == NOWHERE:
        return choice is None and at == NOWHERE
    return rules[at] == choice.rule and (not choice.group or _all_at(shown, choice.fields, at))


def _all_at(shown: Places, fields: tuple[str, ...], at: int) -> bool:
    """Do all these fields count by that rule?"""
    return all(shown.get(name, NOWHERE) == at for name in fields)


def _place(olds: list[Values], name: str) -> int:
    """In which of these a field is."""
    for number, old in enumerate(olds):
        if name in old:
            return number
    return NOWHERE
