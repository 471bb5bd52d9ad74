"""Which API versions an adapter takes, and how it tells that a platform lacks one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from worlds import MAPPINGS

from isthmus.config.errors import ConfigError
from isthmus.simulators.dynamics import DynamicsEnvironment, serve_dynamics
from isthmus.simulators.salesforce import SalesforceOrg, serve_salesforce
from isthmus.systems.dynamics.adapter import Dynamics, DynamicsConfig
from isthmus.systems.protocol import Finding, System
from isthmus.systems.salesforce.adapter import Salesforce, SalesforceConfig

ORG = SalesforceConfig("https://lamp.my.salesforce.com", "lamp", "hush")
ENVIRONMENT = DynamicsConfig("https://lamp.crm.dynamics.com", "https://login.microsoftonline.com", "t", "c", "hush")


@pytest.mark.parametrize("version", ["49.0", "67.0", "99.0"])
def test_salesforce_in_a_version_nobody_tried_is_refused_before_anything_connects(version: str) -> None:
    with pytest.raises(ConfigError, match=r"salesforce\.api_version: .* 50\.0 to 66\.0"):
        Salesforce(replace(ORG, api_version=version), {})


@pytest.mark.parametrize("version", ["v8.2", "v9.3", "v10.0"])
def test_dynamics_in_a_version_nobody_tried_is_refused_before_anything_connects(version: str) -> None:
    with pytest.raises(ConfigError, match=r"dynamics\.api_version: .* v9\.0 to v9\.2"):
        Dynamics(replace(ENVIRONMENT, api_version=version), {})


@pytest.mark.parametrize("version", ["50.0", "60.0", "66.0"])
def test_the_ends_of_the_range_belong_to_it(version: str) -> None:
    assert Salesforce(replace(ORG, api_version=version), {})


async def version_told(system: System) -> Finding:
    try:
        (told,) = [finding for finding in await system.check() if finding.name == "API version"]
    finally:
        await system.close()
    return told


async def test_check_tells_whether_the_org_has_the_version() -> None:
    org = SalesforceOrg(seed=1)
    async with serve_salesforce(org) as url:
        config = SalesforceConfig(url, org.client_id, org.client_secret)
        assert (await version_told(Salesforce(config, MAPPINGS.objects("salesforce")))).ok
        org.versions = (45, 58)
        told = await version_told(Salesforce(config, MAPPINGS.objects("salesforce")))
    assert (told.ok, told.message) == (False, "the org has no 60.0")
    assert "58.0" in told.hint


async def test_check_tells_whether_the_environment_has_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = DynamicsEnvironment(seed=1)
    async with serve_dynamics(environment) as served:
        here = served.http_url
        login = (here, here, environment.tenant, environment.client_id, environment.client_secret)
        assert (await version_told(Dynamics(DynamicsConfig(*login), {}))).ok
        environment.version = "9.0.1.2"
        told = await version_told(Dynamics(DynamicsConfig(*login), {}))
    assert not told.ok
    assert "9.0.1.2, older than v9.2" in told.message
