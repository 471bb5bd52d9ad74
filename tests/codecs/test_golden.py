"""Messages of each kind, as data in golden/, and what they must come to: input, expected changes, and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isthmus.codecs import dynamics_webhook, operations_events, salesforce_cometd
from isthmus.codecs.change import Change

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.json"))
SAMPLES = Path(__file__).parents[3] / "shared" / "samples"
DECODERS: dict[str, Callable[[bytes], list[Change]]] = {
    "salesforce-cometd": salesforce_cometd.decode,
    "dynamics-webhook": dynamics_webhook.decode,
    "operations-event": operations_events.decode,
}


def test_there_are_golden_cases_for_every_kind() -> None:
    assert {json.loads(file.read_text())["kind"] for file in GOLDEN} == set(DECODERS)


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.stem)
def test_a_message_comes_to_what_is_written_beside_it(file: Path) -> None:
    case: dict[str, Any] = json.loads(file.read_text())
    decoded = [change.to_wire() for change in DECODERS[case["kind"]](json.dumps(case["input"]).encode())]
    assert json.loads(json.dumps(decoded)) == case["expected"], case["why"]


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.stem)
def test_a_parsed_message_comes_to_the_same_as_its_text(file: Path) -> None:
    case: dict[str, Any] = json.loads(file.read_text())
    decoder: Callable[[Any], list[Change]] = DECODERS[case["kind"]]
    assert decoder(case["input"]) == decoder(json.dumps(case["input"]).encode())


@pytest.mark.parametrize(
    ("pattern", "kind", "events"),
    [
        ("salesforce/cometd-*-create-*.json", "salesforce-cometd", True),
        ("salesforce/cometd-*-enriched-*.json", "salesforce-cometd", True),
        ("salesforce/cometd-error-*.json", "salesforce-cometd", False),
        ("salesforce/cometd-*-re*.json", "salesforce-cometd", False),
        ("salesforce/cometd-session-trace.json", "salesforce-cometd", False),
        ("dynamics/webhook-*.json", "dynamics-webhook", True),
    ],
)
def test_every_recorded_message_can_be_decoded(pattern: str, kind: str, events: bool) -> None:
    files = sorted(SAMPLES.glob(pattern))
    if not files:
        pytest.skip("the recorded samples are not here")
    for file in files:
        assert bool(DECODERS[kind](file.read_bytes())) == events, file.name


def test_recorded_values_are_exact() -> None:
    file = SAMPLES / "dynamics" / "webhook-create-alltypes-async-2020.json"
    if not file.exists():
        pytest.skip("the recorded samples are not here")
    [change] = dynamics_webhook.decode(file.read_bytes())
    assert change.fields["albxrm_currency"] == "2154.32"
    assert change.fields["albxrm_multiselectoptionset"] == [257760001, 257760002]
    assert change.fields["albxrm_dateandtime"] == "2020-12-15T07:00:00Z"
    assert change.fields["albxrm_lookupaccount"] == "b76b3f4b-1be7-e611-8101-e0071b6af231"
    assert change.cleared == ("modifiedonbehalfby",)
