"""Choosing: which of the registers count now that a change was heard, and what is different by that.

Promises: the visible value is a pure choice over registers that are opinions; only the fields that were touched are chosen
anew, with the same result as if all were. No clock, no chance, no I/O.
"""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.codecs.change import Value
from isthmus.codecs.events import Changed, Source
from isthmus.codecs.linked import Linked
from isthmus.codecs.reviews import PINS, STEWARD
from isthmus.config.choices import Choice
from isthmus.config.followed import Followed
from isthmus.tables.golden import Golden
from isthmus.tables.heard import Heard
from isthmus.tables.pins import rule_of
from isthmus.tables.precedence import Chosen, asked_alone, choose, differ
from isthmus.tables.registering import find
from isthmus.tables.registers import Held, Register, Said, Visible
from isthmus.tables.showing import is_shown, rule_by_itself, show, value_at

NOBODY: dict[str, Choice] = {}


def look(golden: Golden, mapping: Followed, change: Linked, heard: Heard) -> dict[str, Changed]:
    """Choose anew where a register changed; what is different now, by field."""
    changed: dict[str, Changed] = {}
    system, native_id = change.system, change.native_id
    led, held = _led(golden, mapping, system), golden.registers[system][native_id]
    newest = held.said[0] if heard.plain else None
    done: set[str] = set()
    whole: set[str] = set()  # fields of groups that are taken from this record alone
    for name, before in heard.touched.items():
        choice, said = led.get(name), find(held, name) if newest is None else newest
        if said is None or name in done:
            continue
        if choice is None or said.derived:
            done.update(_choose_one(golden, mapping, change, heard, name, changed))
            continue
        if choice.group and not _holds(held, choice, whole):
            chosen = asked_alone(choice, system, native_id, held)
            _take(golden, choice, chosen, change, heard, changed)
            done.update(choice.fields)
            continue
        if rule_by_itself(held, name) != choice.rule:
            show(golden.registers, name, Visible(system, native_id, choice.rule))
        if differ(before, value := said.values[name]):
            source = None if newest is not None else _source(said, change, system, native_id)
            changed[name] = Changed(value, before, choice.rule, source)
    return changed


def _choose_one(
    golden: Golden, mapping: Followed, change: Linked, heard: Heard, name: str, changed: dict[str, Changed]
) -> tuple[str, ...]:
    """Choose a field anew, with those that are chosen together with it: their names."""
    choice = mapping.choices.get(name)
    # Where a system is not asked and nobody else has said anything, there is nothing to choose from.
    asked = mapping.heard.get(change.system, mapping.choices)
    if choice is None or (name not in asked and not is_shown(golden.registers, name)):
        return ()
    _choose(golden, choice, change, heard, changed)
    return choice.fields


def _led(golden: Golden, mapping: Followed, system: str) -> dict[str, Choice]:
    """The fields for which nobody is asked before or beside a system's one record, each with how it is chosen."""
    if len(golden.registers[system]) != 1 or STEWARD in golden.registers:
        return NOBODY
    return (mapping.heard if len(golden.registers) == 1 else mapping.led).get(system, NOBODY)


def _holds(held: Held, choice: Choice, whole: set[str]) -> bool:
    """Are all fields of a group taken from what one record itself says of them? `whole`: those that are."""
    if choice.fields[0] not in whole:
        if not all(rule_by_itself(held, name) is not None for name in choice.fields):
            return False
        whole.update(choice.fields)
    return True


def _choose(golden: Golden, choice: Choice, change: Linked, heard: Heard, changed: dict[str, Changed]) -> None:
    chosen = choose(choice, golden.registers)
    _take(golden, choice, chosen, change, heard, changed)
    if not chosen and change.native_id == PINS:
        _fall_back(golden, choice, change, heard, changed)
    elif not chosen:
        _keep(golden, choice, change, heard)


def _take(
    golden: Golden,
    choice: Choice,
    chosen: Sequence[Chosen],
    change: Linked,
    heard: Heard,
    changed: dict[str, Changed],
) -> None:
    """Show what was chosen."""
    for name, system, native_id, register in chosen:
        before = heard.touched[name] if name in heard.touched else value_at(golden.registers, name)
        own = None if find(golden.registers[system][native_id], name) else register
        rule = rule_of(register) if native_id == PINS else choice.rule
        show(golden.registers, name, Visible(system, native_id, rule, own))
        _differs(changed, name, before, register, rule, change, system, native_id)


def _fall_back(golden: Golden, choice: Choice, change: Linked, heard: Heard, changed: dict[str, Changed]) -> None:
    """A pin is taken back where nobody has an opinion: what it leaves behind stays."""
    held, system, native_id = golden.held(change.system, change.native_id), change.system, change.native_id
    for name in choice.fields:
        if name in heard.touched and (register := held.get(name)) is not None:
            rule = rule_of(register)
            golden.show(name, system, native_id, rule, None)
            _differs(changed, name, heard.touched[name], register, rule, change, system, native_id)


def choose_anew(golden: Golden, mapping: Followed, cause: Linked) -> dict[str, Changed]:
    """Choose every field by the mapping as it is now; what is different, by field. Where nobody has an opinion, what was
    seen stays."""
    changed: dict[str, Changed] = {}
    for choice in dict.fromkeys(mapping.choices.values()):
        _choose(golden, choice, cause, Heard(), changed)
    return changed


def _differs(
    changed: dict[str, Changed],
    name: str,
    before: Value,
    register: Register,
    rule: str,
    change: Linked,
    system: str,
    native_id: str,
) -> None:
    if differ(before, register.value):
        changed[name] = Changed(register.value, before, rule, _source(register, change, system, native_id))


def _source(said: Said | Register, change: Linked, system: str, native_id: str) -> Source | None:
    """What brought a value, where it is not the change itself."""
    return None if said.change_id == change.change_id else Source(system, native_id, said.when, said.change_id)


def _keep(golden: Golden, choice: Choice, change: Linked, heard: Heard) -> None:
    """Nobody has an opinion any more: what was seen stays."""
    for name in choice.fields:
        if name in heard.before:
            said, value = heard.before[name]
            known = Register(value, said.version, said.when, said.change_id, said.derived)
            golden.keep_seen(name, change.system, change.native_id, known)
