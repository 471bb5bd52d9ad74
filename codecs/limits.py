"""What platforms tell of their limits in the headers of an answer, and the uses that share them.

Promises: pure; what a platform does not tell is not made up; a header that cannot be read counts as none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

# `interactive`: what live changes lead to, for which somebody waits. `batch`: all that is done in bulk.
Use = Literal["interactive", "batch"]

DAY = 86_400.0
# Service protection (dynamics.md §3.5): of one user on one server, within any five minutes.
WINDOW, REQUESTS, SECONDS = 300.0, 6000.0, 1200.0
MOST = "x-ms-ratelimit-limit-xrm-requests"
REQUESTS_LEFT = "x-ms-ratelimit-burst-remaining-xrm-requests"
SECONDS_LEFT = "x-ms-ratelimit-time-remaining-xrm-requests"
# A pace is what the last tenth of a window came to, older times fading.
STEADY = 0.1
_daily = re.compile(r"(?<![\w-])api-usage=(\d+)/(\d+)")


class Limit(NamedTuple):
    """A limit as an answer told it: `used` of `allowed` within any `window` seconds, at a time (epoch seconds). `unit`:
    what is counted. `pace`: by how much `used` grows a second, as the answers before it went."""

    name: str
    unit: Literal["calls", "seconds"]
    used: float
    allowed: float
    window: float
    at: float
    pace: float = 0.0

    def after(self, before: Limit | None) -> Limit:
        """The same with its pace, by what was told before it."""
        if before is None or self.at <= before.at:
            return self if before is None else self._replace(at=before.at, pace=before.pace)
        seconds = self.at - before.at
        weight = 1.0 - math.exp(-seconds / (self.window * STEADY))
        return self._replace(pace=before.pace + ((self.used - before.used) / seconds - before.pace) * weight)


def salesforce(headers: Mapping[str, str], at: float) -> tuple[Limit, ...]:
    """`Sforce-Limit-Info`: the org's calls of the last 24 hours, everybody's together (salesforce.md §4.3)."""
    told = _daily.search(headers.get("sforce-limit-info", ""))
    return () if told is None else (Limit("daily", "calls", float(told[1]), float(told[2]), DAY, at),)


def dynamics(headers: Mapping[str, str], at: float) -> tuple[Limit, ...]:
    """What service protection leaves us on the server that answered: requests, and their time in seconds."""
    most = _number(headers, MOST) or REQUESTS
    left = (
        ("requests", "calls", _number(headers, REQUESTS_LEFT), most),
        ("execution", "seconds", _number(headers, SECONDS_LEFT), SECONDS),
    )
    return tuple(
        Limit(name, unit, max(0.0, allowed - rest), max(allowed, rest), WINDOW, at)  # type: ignore[arg-type]
        for name, unit, rest, allowed in left
        if rest is not None
    )


def heard(before: tuple[Limit, ...], told: tuple[Limit, ...]) -> tuple[Limit, ...]:
    """What is known after an answer told this; of what it told nothing, nothing changes."""
    known = {one.name: one for one in before}
    return tuple({**known, **{one.name: one.after(known.get(one.name)) for one in told}}.values())


def _number(headers: Mapping[str, str], name: str) -> float | None:
    """A header like `5999` or `1,199.94`."""
    try:
        number = float(headers[name].replace(",", ""))
    except (KeyError, ValueError):
        return None
    return number if math.isfinite(number) else None
