"""What can go wrong in the simulated org: refusals as REST answers them, and a control for tests that provokes them.

Promises: a fault happens as often as was asked for, to the requests that were meant, and then the org is well again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from isthmus.simulators.salesforce.ids import to18

DATA = r"^/services/data/"
WRITES = (frozenset({"POST", "PATCH", "PUT", "DELETE"}), r"/(sobjects|composite)/?")


class Refused(Exception):
    """`body` is JSON-ready; `headers` go with the answer."""

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.headers = headers or {}


def refused(status: int, code: str, message: str, fields: tuple[str, ...] = ()) -> Refused:
    """One error in the array that REST answers with."""
    return Refused(status, [{"message": message, "errorCode": code, "fields": list(fields)}])


@dataclass
class Trouble:
    """What happens to the next `left` requests whose path matches: an answer instead of the work, a connection that is
    cut before the work or after it, a wait, tokens that end, or work that is taken back."""

    left: int
    path: str
    methods: frozenset[str] = frozenset()
    answer: Refused | None = None
    cut: Literal["", "before", "after"] = ""
    seconds: float = 0.0
    expire: bool = False
    undone: bool = False


@dataclass
class Faults:
    """The control; `locked` are ids of rows that someone else holds, `duplicate_rules` the fields by object whose value
    no second record may have, `failing_jobs` how many bulk jobs will fail as a whole."""

    locked: set[str] = field(default_factory=set)
    duplicate_rules: dict[str, str] = field(default_factory=dict)
    failing_jobs: int = 0
    _troubles: list[Trouble] = field(default_factory=list)

    def fail(
        self,
        number: int,
        status: int,
        body: Any,
        retry_after: float | None = None,
        path: str = DATA,
        *,
        writes: bool = False,
    ) -> None:
        """The next requests are answered with this; `writes`: only those that write records."""
        headers = {} if retry_after is None else {"Retry-After": str(int(retry_after))}
        methods, path = WRITES if writes else (frozenset(), path)
        self._troubles.append(Trouble(number, path, methods, Refused(status, body, headers)))

    def refuse(self, code: str, message: str, *, status: int = 400, number: int = 1, path: str = DATA) -> None:
        """The next requests are answered with one error of this code."""
        self.fail(number, status, refused(status, code, message).body, path=path)

    def throttle(self, number: int, retry_after: float | None = None, *, concurrent: bool = False) -> None:
        """The daily quota is spent, or too many long requests run (salesforce.md §4.2)."""
        text = "ConcurrentRequests (Concurrent API Requests) Limit exceeded." if concurrent else None
        body = refused(403, "REQUEST_LIMIT_EXCEEDED", text or "TotalRequests Limit exceeded.").body
        self.fail(number, 403, body, retry_after)

    def lock(self, ids: Iterable[str]) -> None:
        """Someone else holds these rows, until `locked` is cleared."""
        self.locked |= {to18(one) for one in ids}

    def drop(self, number: int = 1, path: str = DATA) -> None:
        """The connection is cut and nothing was done."""
        self._troubles.append(Trouble(number, path, cut="before"))

    def cut(self, number: int = 1, path: str = DATA) -> None:
        """It is done, and the connection is cut before the answer."""
        self._troubles.append(Trouble(number, path, cut="after"))

    def roll_back(self, number: int = 1) -> None:
        """The next writes are carried out and, as a trigger fails at their end, taken back with all that they told."""
        methods, path = WRITES
        self._troubles.append(Trouble(number, path, methods, undone=True))

    def delay(self, seconds: float, number: int = 1, path: str = DATA) -> None:
        """The next requests wait."""
        self._troubles.append(Trouble(number, path, seconds=seconds))

    def expire(self, number: int = 1, path: str = DATA) -> None:
        """All tokens end just before the next requests."""
        self._troubles.append(Trouble(number, path, expire=True))

    def next(self, method: str, path: str) -> Trouble | None:
        """What happens to this request."""
        for trouble in self._troubles:
            if re.search(trouble.path, path) and method in (trouble.methods or {method}):
                trouble.left -= 1
                self._troubles = [one for one in self._troubles if one.left]
                return trouble
        return None

    def recover(self) -> None:
        """Forget the troubles that are still to come, and who holds rows."""
        self._troubles.clear()
        self.locked.clear()
