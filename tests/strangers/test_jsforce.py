"""The simulated org through jsforce, unmodified; `make strangers` fetches it."""

from __future__ import annotations

from in_node import needs, told

from isthmus.simulators.salesforce import SalesforceOrg, serve_salesforce

pytestmark = needs("jsforce")


async def test_jsforce_does_what_its_users_do_all_day() -> None:
    org = SalesforceOrg(seed=3)
    org.page_rows = 200
    async with serve_salesforce(org) as url:
        found = await told("jsforce.cjs", url, org.client_id, org.client_secret)
    assert found["instance"] == url
    assert (found["created"]["success"], found["read"], found["updated"]) == (True, "Alder", True)
    assert (found["upserted"]["success"], found["refused"]) == (True, "REQUIRED_FIELD_MISSING")
    assert found["many"] == [True, True, True, "STRING_TOO_LONG", True]
    assert found["strict"] == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "REQUIRED_FIELD_MISSING"]
    assert found["retrieved"] == ["N0", "N1", "N2", "N4"]
    assert found["queried"] == ["N4", "N2", "N1", "N0"]
    assert (found["count"], found["destroyed"], found["binned"]) == (6, True, 2)
    assert (found["changed"], found["deleted"]) == (4, 2)
    assert found["composite"] == [201, 201]
    assert found["bulk"] == [299, 1, 0]
    assert (found["why"], found["streamed"]) == ("STRING_TOO_LONG", 'B "1",')
    assert found["heard"] == ["CREATE", "UPDATE", "CREATE"]
    assert found["limits"] == 5_000_000
