"""Every recorded message of both platforms, and messages of our own in the same forms: each goes the way it would go.

The recorded ones are beside the repository on machines that have them, or where SAMPLES says; the own ones are
always there, in `own/`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import of_dynamics
import of_salesforce
import pytest

RECORDED = Path(os.environ.get("SAMPLES") or Path(__file__).parents[3] / "shared" / "samples")
OWN = Path(__file__).with_name("own")
CHECKS: dict[str, dict[str, Callable[[Any], Awaitable[None]]]] = {
    "salesforce": dict(of_salesforce.CHECKS),
    "dynamics": dict(of_dynamics.CHECKS),
}


def check_of(platform: str, name: str) -> Callable[[Any], Awaitable[None]] | None:
    """What a file has to stand; the first pattern that fits."""
    return next((check for pattern, check in CHECKS[platform].items() if fnmatch(name, pattern)), None)


def samples() -> Iterator[Any]:
    """(platform, name, content) of every sample."""
    for platform in CHECKS:
        for file in sorted((RECORDED / platform).glob("*")):
            yield pytest.param(platform, file.name, file.read_bytes(), id=f"{platform}/{file.name}")
        for name, content in json.loads((OWN / f"{platform}.json").read_text()).items():
            text = content if isinstance(content, str) else json.dumps(content)
            yield pytest.param(platform, name, text.encode(), id=f"own/{platform}/{name}")


@pytest.mark.parametrize(("platform", "name", "content"), list(samples()))
async def test_a_sample_goes_the_way_it_would_go(platform: str, name: str, content: bytes) -> None:
    check = check_of(platform, name)
    assert check is not None, f"nothing says what {name} has to stand"
    await check(json.loads(content) if platform == "salesforce" else content)


@pytest.mark.parametrize("platform", CHECKS)
def test_every_recorded_form_is_among_our_own(platform: str) -> None:
    files = [file.name for file in (RECORDED / platform).glob("*")]
    if not files:
        pytest.skip("the recorded samples are not here")
    ours = {check_of(platform, name) for name in json.loads((OWN / f"{platform}.json").read_text())}
    assert {name for name in files if check_of(platform, name) not in ours} == set()
