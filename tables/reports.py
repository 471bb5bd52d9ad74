"""Reports: what merge makes of what a write came to, and of an order to tell a system again.

Promises: a value that a system was brought to is ours and no opinion, unless that system had said it before; one that was
overwritten meanwhile is not waited for; what was refused is wished for again as soon as it can be carried out. No clock, no
chance, no I/O.
"""

from __future__ import annotations

from isthmus.codecs.change import Value
from isthmus.codecs.linked import Report, Tell
from isthmus.config.mapping import EntityMapping
from isthmus.tables import deletes
from isthmus.tables.folded import Folded, reported_event
from isthmus.tables.golden import Golden
from isthmus.tables.intents import confirm, forget, refuse, replace_before
from isthmus.tables.pins import replaced
from isthmus.tables.precedence import same
from isthmus.tables.registering import set_one
from isthmus.tables.registers import Register
from isthmus.tables.wishes import signed, told, wishes


def fold_report(golden: Golden, report: Report, mapping: EntityMapping) -> Folded:
    """Take a report into its golden record."""
    intents = golden.intents.setdefault(report.system, {})
    before = deletes.living(golden, mapping.followed)
    deletes.report(golden, report)
    if report.outcome == "held":
        return Folded(golden, None)
    if report.outcome == "refused":
        refuse(intents, report.rev)
        return _look_again(golden, report, mapping)
    if report.native_id not in golden.living.get(report.system, {}):
        golden.live(report.system, report.native_id, True, report.version or "", made=True)
    elif report.version is not None and golden.living[report.system][report.native_id].alive:
        golden.wrote(report.system, report.native_id, report.version)
    for name, value in report.fields.items():
        _confirm(golden, report, name, value)
    replace_before(intents, report.rev)
    return _again(golden, report, mapping, before)


def _look_again(golden: Golden, report: Report, mapping: EntityMapping) -> Folded:
    """After a refusal: where the version that stood in the way is known already, nothing else will make us ask again."""
    known = golden.living.get(report.system, {}).get(report.native_id)
    if report.version is None or known is None or known.newest <= report.version:
        return Folded(golden, None)
    return _again(golden, report, mapping, deletes.living(golden, mapping.followed))


def _again(golden: Golden, report: Report, mapping: EntityMapping, before: deletes.Records) -> Folded:
    """Tell the system what it lacks still, and the world where it lives in other records than before."""
    if golden.rejected:
        return Folded(golden, None)
    lacking = wishes(golden, mapping.followed, (report.system,), f"{golden.canonical}/{report.rev}")
    alive = deletes.living(golden, mapping.followed)
    if alive != before or lacking:
        golden.revision += 1
    event = reported_event(golden, report, before, alive) if alive != before else None
    return Folded(golden, None, event, told(golden, lacking))


def tell_again(golden: Golden, order: Tell, mapping: EntityMapping) -> Folded:
    """What was refused is not among the intents any more, so it is wished for again where it is lacking still; what was
    held is let go."""
    released = not order.found and deletes.release(golden, order.system)
    lacking = wishes(golden, mapping.followed, (order.system,), order.correlation, released=released)
    if order.found and not lacking:
        lacking = signed(golden, mapping.followed, order.system, order.correlation)
    golden.revision += bool(lacking)
    return Folded(golden, None, None, told(golden, lacking))


def _confirm(golden: Golden, report: Report, name: str, value: Value) -> None:
    """The system had this value at that version; where a newer one of its own is known, ours was overwritten."""
    held = golden.held(report.system, report.native_id)
    known = held.get(name)
    overwritten = known is not None and report.version is not None and known.version > report.version
    intents = golden.intents[report.system]
    confirm(intents, name, value, report.rev, current=report.version is not None)
    if known is not None and overwritten and not same(known.value, value):
        forget(intents, name, value)
    if report.version is None or overwritten:
        return
    if known is not None and not known.derived and same(known.value, value):
        # It was said there before we wrote it, so it stays what that system says.
        set_one(held, name, Register(known.value, report.version, known.when, known.change_id, False))
        return
    golden.keep_seen(name, report.system, report.native_id, known)
    replaced(golden, name, known)
    set_one(held, name, Register(value, report.version, known.when if known else "", "", True))
