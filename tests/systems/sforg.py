"""A Salesforce adapter to a simulated org, as the tests of its parts use it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from isthmus.config.mapping import load_mappings
from isthmus.simulators.salesforce import SalesforceOrg, serve_salesforce
from isthmus.systems.protocol import Write
from isthmus.systems.salesforce.adapter import Salesforce, SalesforceConfig

OBJECTS = load_mappings().objects("salesforce")


@asynccontextmanager
async def joined(org: SalesforceOrg, **changed: Any) -> AsyncIterator[Salesforce]:
    """The adapter, logged in; `changed` are settings."""
    async with serve_salesforce(org) as url:
        system = Salesforce(replace(SalesforceConfig(url, org.client_id, org.client_secret), **changed), OBJECTS)
        await system.open()
        try:
            yield system
        finally:
            await system.close()


def upsert(number: int | str, **fields: Any) -> Write:
    """An upsert of an account."""
    return Write("Account", f"can-{number}", None, {"Name": f"N{number}", **fields})
