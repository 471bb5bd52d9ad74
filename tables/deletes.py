"""Deletes: when a golden record has ended, and what is to become of its records elsewhere by their systems' policies.

Promises: a pure choice over what is known of each record's end and return, so the order in which that was heard cannot
matter: the newest word of the systems whose deletes count decides, and a delete where two words are equally new. What we
deleted ourselves is no such word. A record is told once to end, or to return; what a person deleted where deletes do not
count stays so. No clock, no chance, no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from isthmus.codecs.linked import Action, Linked, Report
from isthmus.config.followed import Followed
from isthmus.tables.alive import alive, primary, unread
from isthmus.tables.golden import DesiredWrite, Ending, Golden
from isthmus.tables.intents import on_its_way
from isthmus.tables.liveness import Liveness, Mark

NEW = ""  # stands for the native id of a record that is to be made anew
Records = frozenset[tuple[str, str]]
NONE: Mapping[str, Ending] = {}
NOBODY: Mapping[str, Liveness] = {}


class Turn(NamedTuple):
    """What a system is to be told next: the record (None: a new one), what is to become of it, and whether that has to
    be said even where no value is lacking."""

    native: str | None
    action: Action = "upsert"
    must: bool = False

    @property
    def ends(self) -> bool:
        """Is it the end of the record?"""
        return self.action not in ("upsert", "reactivate")


# -- what systems say


def hear(golden: Golden, change: Linked) -> bool:
    """Take in what a change says of its record's life; was it a change of life?"""
    system, native, version = change.system, change.native_id, change.version
    natives = golden.living.get(system)
    known = natives.get(native) if natives else None
    if known is not None and known.alive and change.operation in ("update", "create"):
        if natives and version > known.version:
            left = unread(known.left, version)
            natives[native] = Liveness(True, version, known.died, known.undone, known.made, left)
        return False
    made = _made(golden, change)
    if change.operation == "delete":
        died = Mark(version, change.changed_at, by_us(golden, change))
        return golden.live(system, native, False, version, died=died, made=made)
    undone = Mark(version, change.changed_at) if change.operation == "undelete" else None
    return golden.live(system, native, True, version, undone=undone, made=made)


def _made(golden: Golden, change: Linked) -> bool:
    """Is this another record than was known, that a write of ours made whose report is still to come?"""
    natives = golden.living.get(change.system)
    if not natives or change.native_id in natives:
        return False
    new = golden.endings.get(change.system, NONE).get(NEW)
    if new is not None and new.state == "asked":
        return True  # though its values have been heard of another, made before
    intents = golden.intents.get(change.system, {})
    return any(on_its_way(intents, name) for name in intents)


def by_us(golden: Golden, change: Linked) -> bool:
    """Was this delete ours? Where the platform does not say who deleted, it was if we have asked for it."""
    if change.operation != "delete" or change.tagged is False:
        return False
    asked = golden.endings.get(change.system, NONE).get(change.native_id)
    return change.tagged is True or (asked is not None and asked.deleting)


def over(golden: Golden, mapping: Followed) -> bool:
    """Is it the last word of the systems whose deletes count that the record is gone?"""
    if not mapping.ends:
        return False
    words = [word for system in mapping.ends if (word := _word(golden, system)) is not None]
    return bool(words) and max(words)[1]


def _word(golden: Golden, system: str) -> tuple[str, bool] | None:
    """When people of a system last deleted the record, or took that back, and whether it is gone now. None: neither."""
    known = golden.living.get(system, NOBODY).values()
    # That we made one says nothing: its write may have been on its way when people deleted another.
    gone = not any(one.alive and (not one.made or one.undone is not None) for one in known)
    marks = [mark for one in known if one.alive != gone and (mark := _newest(one)) is not None]
    # Without the Z, since a fraction of a second sorts before it.
    whens = [mark.when.removesuffix("Z") for mark in marks if not (gone and mark.ours)]
    return (max(whens), gone) if whens else None


def _newest(known: Liveness) -> Mark | None:
    marks = [mark for mark in ((known.died, known.undone) if known.alive else (known.died,)) if mark is not None]
    return max(marks, key=lambda mark: mark.version, default=None)


def living(golden: Golden, mapping: Followed) -> Records:
    """The records in which it lives: once it has ended, those of systems that keep them."""
    still = alive(golden.living)
    if not over(golden, mapping):
        return still
    return frozenset(one for one in still if one[0] not in mapping.systems or keeps(mapping, one[0]))


def turned(golden: Golden, mapping: Followed, wished: Iterable[DesiredWrite]) -> tuple[Records | None, Records | None]:
    """In which records it lived and lives, where another policy ends it or takes that back; None where it does not."""
    actions = {write.action for write in wished}
    if "reactivate" in actions:
        return frozenset(), living(golden, mapping)
    return (golden.alive(), living(golden, mapping)) if actions - {"upsert"} else (None, None)


def keeps(mapping: Followed, system: str) -> bool:
    """Does a system keep what was deleted elsewhere?"""
    return mapping.systems[system].on_delete == "keep"


# -- what systems are to be told


def turn(golden: Golden, mapping: Followed, system: str, *, ended: bool) -> Turn | None:
    """What a system is to be told next; None where it is to be left alone."""
    natives, asked = golden.living.get(system, NOBODY), golden.endings.get(system, NONE)
    policy = mapping.systems[system].on_delete
    if ended and policy != "keep":
        return _end(natives, asked, policy)
    first = primary(golden.living, system)
    if first is None:
        return None if ended else _anew(golden, mapping, system, asked.get(NEW))
    if not asked:
        return Turn(first)
    back = next((native for native, known in natives.items() if known.alive and native in asked), None)
    if back is None:
        return Turn(first)
    return Turn(back, "reactivate", asked[back].action != "reactivate" or asked[back].state == "refused")


def _end(natives: Mapping[str, Liveness], asked: Mapping[str, Ending], policy: Action) -> Turn | None:
    """The next record to end; one at a time, because a newer wish takes the place of an older one."""
    waiting: str | None = None
    for native, known in natives.items():
        one = asked.get(native)
        if not known.alive:
            continue
        if one is None or one.action != policy or one.state == "refused" or _restored(known, one):
            waiting = waiting or native
        elif one.state == "asked":
            return None
    return None if waiting is None else Turn(waiting, policy, must=True)


def _restored(known: Liveness, asked: Ending) -> bool:
    """Did a person take back our delete, and that was not the last word?"""
    if asked.action != "delete" or asked.state != "done" or known.undone is None:
        return False
    return known.died is None or known.undone.version > known.died.version


def _anew(golden: Golden, mapping: Followed, system: str, asked: Ending | None) -> Turn | None:
    """A first record, or one in the place of what is gone."""
    natives = golden.living.get(system)
    if not natives:
        return Turn(None)
    if not mapping.ends or any(_stays(known, system in mapping.ends) for known in natives.values()):
        return None
    return Turn(None, must=asked is None or asked.state == "refused")


def _stays(known: Liveness, counts: bool) -> bool:
    """Does a record's end keep others from being made in its place? `counts`: so far as its word was not the last one."""
    return known.died is None or not (known.died.ours or (counts and known.died.when))


def note(golden: Golden, write: DesiredWrite) -> None:
    """Remember what a record was told to become."""
    if write.action == "upsert" and (write.native_id is not None or not golden.living.get(write.system)):
        return
    asked = golden.endings.setdefault(write.system, {})
    known = asked.get(write.native_id or NEW)
    if write.native_id is None:
        if known is None or known.state == "refused":
            golden.intents[write.system] = {}  # of the record that is gone
            asked[NEW] = Ending("upsert", write.revision)
        return
    if (new := asked.get(NEW)) is not None and new.state == "asked":
        # This takes the place of that wish, so no report of it may ever come; it is asked for again where it is lacking.
        asked[NEW] = replace(new, state="refused")
    deleting = write.action == "delete" or (known is not None and known.deleting)
    asked[write.native_id] = Ending(write.action, write.revision, "asked", deleting)


# -- what came of it


def release(golden: Golden, system: str) -> bool:
    """A person wants done what was held; was there any?"""
    held = {n: one for n, one in golden.endings.get(system, NONE).items() if one.state == "held"}
    for native, one in held.items():
        golden.endings[system][native] = replace(one, state="refused")
    return bool(held)


def report(golden: Golden, told: Report) -> None:
    """Take in what came of a write, as far as it is about a record's life."""
    asked = golden.endings.get(told.system, NONE)
    native = NEW if told.action == "upsert" and NEW in asked else told.native_id
    one = asked.get(native)
    if one is None or one.revision > told.rev:
        return  # an end that was taken back since may be undone already: what comes next tells
    if told.outcome == "written" and told.action == "delete":
        # No later than what was known when it was wished: an undelete may have been heard since.
        known = golden.living.get(told.system, NOBODY).get(told.native_id)
        version = f"{told.version or (known.newest if known else '')}.deleted"
        golden.live(told.system, told.native_id, False, version, died=Mark(version, "", True))
    held = golden.endings[told.system]
    if told.outcome != "written":
        held[native] = replace(one, state=told.outcome)
    elif told.action in ("upsert", "reactivate"):
        del held[native]
    else:
        held[native] = replace(one, state="done")
