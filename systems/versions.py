"""The API versions of a platform that an adapter was made for: which are set is the operator's, which work is known here.

Promises: pure; a version outside the range is a ConfigError before anything connects.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from isthmus.config.errors import ConfigError

FORM = re.compile(r"v?(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Versions:
    """The oldest and the newest version that work, written as the platform writes them."""

    oldest: str
    newest: str

    def need(self, platform: str, wanted: str) -> None:
        """ConfigError unless this version is one of them."""
        if not number(self.oldest) <= number(wanted) <= number(self.newest):
            raise ConfigError(
                f"{platform}.api_version: {wanted} is not among the supported {self.oldest} to {self.newest}",
                hint=f"set {platform}.api_version to one of them, or take another release of Isthmus",
            )


def number(version: str) -> tuple[int, int]:
    """As numbers that can be compared; what follows the second one does not count."""
    found = FORM.match(version)
    return (int(found[1]), int(found[2])) if found else (0, 0)
