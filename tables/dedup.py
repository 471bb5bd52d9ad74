"""The dedup table: per native record, the change ids seen lately, the gaps that wait for a re-read, and whether it is gone.

Promises: a change id is recognised while it is among the record's last `KEPT`; an older change is not a repeat only for
being older, because it may carry a field that the newer one lacks. Ids are kept as digests of 8 bytes: among 64 of them
two differing ids meet once in 10^17.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from isthmus.tables.unit import Table

KEPT = 64
DIGEST = 8


class Recent(msgspec.Struct, array_like=True):
    """`ids`: digests, oldest first, one after another; `gaps` are the change ids of gaps not yet filled; `gone`: the last
    that was heard of it is that it was deleted."""

    ids: bytes = b""
    gaps: tuple[str, ...] = ()
    gone: bool = False

    def note(self, change_id: str) -> bool:
        """Note a change id, forgetting the oldest; False where it was here before."""
        digest = _digest(change_id)
        if _among(self.ids, digest):
            return False
        self.ids = (self.ids + digest)[-KEPT * DIGEST :]
        return True

    def noted(self, change_id: str) -> bool:
        """Is a change id among the last?"""
        return _among(self.ids, _digest(change_id))

    def open_gap(self, change_id: str) -> None:
        """A gap that waits for its re-read."""
        self.gaps = (*self.gaps, change_id)

    def fill_gap(self, change_id: str | None) -> bool:
        """That gap is filled; False where no such gap is open."""
        if change_id not in self.gaps:
            return False
        self.gaps = tuple(gap for gap in self.gaps if gap != change_id)
        return True


def _among(ids: bytes, digest: bytes) -> bool:
    at = ids.find(digest)
    while at >= 0 and at % DIGEST != 0:
        at = ids.find(digest, at + 1)  # it was found across two digests
    return at >= 0


def _digest(change_id: str) -> bytes:
    return blake2b(change_id.encode(), digest_size=DIGEST).digest()


DEDUP: Table[Recent] = Table("dedup", Recent)
