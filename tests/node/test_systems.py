"""From settings to adapters: which way Salesforce's changes come."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.config.errors import ConfigError
from isthmus.config.load import load_settings
from isthmus.config.mapping import load_mappings
from isthmus.node.systems import open_systems
from isthmus.simulators.salesforce import SalesforceOrg, serve_pubsub, serve_salesforce

ORG = {"login_url": "https://lamp.my.salesforce.com", "client_id": "lamp", "client_secret": "hush"}


@pytest.mark.parametrize(("chosen", "way"), [({}, "pubsub"), ({"transport": "cometd"}, "cometd")])
async def test_the_pubsub_api_is_the_way_unless_cometd_is_chosen(chosen: dict[str, Any], way: str) -> None:
    org = SalesforceOrg(seed=1)
    async with serve_salesforce(org) as url, serve_pubsub(org) as server:
        named = {"login_url": url, "client_id": org.client_id, "client_secret": org.client_secret}
        settings = load_settings(salesforce={**named, "pubsub_url": server.url, **chosen})
        (system,) = open_systems(settings, load_mappings())
        try:
            findings = await system.check()
        finally:
            await system.close()
    assert [finding for finding in findings if not finding.ok] == []
    assert f"takes subscriptions by {way}" in [finding.message for finding in findings]


@pytest.mark.parametrize("url", ["api.pubsub.salesforce.com:7443", "grpcs://gate:443", "grpc://127.0.0.1:50051"])
def test_an_address_of_the_pubsub_api_may_say_whether_it_speaks_tls(url: str) -> None:
    settings = load_settings(salesforce={**ORG, "pubsub_url": url})
    assert settings.salesforce is not None
    assert settings.salesforce.pubsub_url == url


@pytest.mark.parametrize(
    "wrong",
    [
        {"pubsub_url": "https://api.pubsub.salesforce.com:7443"},
        {"pubsub_url": "api.pubsub.salesforce.com"},
        {"transport": "soap"},
        {"channels": []},
        {"channels": ["ChangeEvents"]},
    ],
)
def test_what_cannot_be_listened_to_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        load_settings(salesforce={**ORG, **wrong})
