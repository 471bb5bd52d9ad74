"""Every error Isthmus raises on purpose, in one tree; each says whether a retry can help and what to do next.

IsthmusError
├── ConfigError            what the operator declared cannot work
├── DecodeError            bytes that are not what their source promises
├── TransformError         a field's value that its transform cannot make anything of
├── Oversized              what came of an element is a record larger than any topic takes
└── PlatformError           a platform answered with a failure
    ├── AuthError          our credentials are not accepted
    ├── TransientError     it may work later (retry_after says when)
    ├── ConflictError      the record is not in the version we thought
    ├── PermanentError     this payload will never be accepted
    └── ReplayLost         the platform no longer has what comes after our position
"""

from __future__ import annotations

from typing import Any


class IsthmusError(Exception):
    """The root. `code` is stable and documented, `hint` is the operator's next step."""

    code = "ISTHMUS"
    retryable = False
    hint = ""

    def __init__(self, message: str, *, code: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.code = code or self.code
        self.hint = hint or self.hint


class ConfigError(IsthmusError):
    """A setting, mapping or rule that cannot work; found before anything starts."""

    code = "CONFIG"


class DecodeError(IsthmusError):
    """Bytes that are not what their source promises; `place` names where."""

    code = "DECODE"

    def __init__(self, message: str, *, place: str = "", code: str | None = None, hint: str | None = None) -> None:
        super().__init__(f"{place}: {message}" if place else message, code=code, hint=hint)
        self.place = place


class TransformError(IsthmusError):
    """A value that a field's transform cannot make anything of; the field is left out and the rest goes on.

    `value` is as it came; `inward` tells whether it came from the system, or was on the way there.
    """

    code = "TRANSFORM"
    hint = "correct the value where it was typed, or the field's transform in the mapping"

    def __init__(self, system: str, field: str, value: object, reason: str, *, inward: bool = True) -> None:
        way = "from" if inward else "for"
        super().__init__(f"{field} {way} {system}: {value!r}: {reason}")
        self.system, self.field, self.value, self.inward = system, field, value, inward


class Oversized(IsthmusError):
    """A record is larger than any topic takes."""

    code = "OVERSIZED"
    hint = "look the original up where `at` points; a smaller field or a mapping without it goes through"


class PlatformError(IsthmusError):
    """A platform answered with a failure; `retry_after` is in seconds, None where the platform did not say. `of_record`:
    it says something of this record alone (it is locked, its parent is on its way), nothing of the platform."""

    code = "SYSTEM"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        retry_after: float | None = None,
        of_record: bool = False,
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.retry_after = retry_after
        self.of_record = of_record


class AuthError(PlatformError):
    """The platform does not accept our credentials or our token."""

    code = "AUTH"
    retryable = True
    hint = "check the client id and secret, and that the application user may use the API"


class TransientError(PlatformError):
    """It may work later: throttled, locked, unavailable, timed out."""

    code = "TRANSIENT"
    retryable = True


class MissingReference(TransientError):
    """A record that this one points at is not there yet; of the platform that says nothing."""

    code = "REFERENCE"

    def __init__(self, message: str, **told: Any) -> None:
        super().__init__(message, **{"of_record": True, **told})


class ConflictError(PlatformError):
    """The record is not in the version we thought: read it again and redo."""

    code = "CONFLICT"
    retryable = True


class PermanentError(PlatformError):
    """This payload will never be accepted; a person or a mapping must change it."""

    code = "PERMANENT"


class ReplayLost(PlatformError):
    """The platform no longer holds what comes after our position: changes may be missing until a full re-read."""

    code = "REPLAY_LOST"
