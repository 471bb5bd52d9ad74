"""The simulated environment through DynamicsWebApi, unmodified; `make strangers` fetches it."""

from __future__ import annotations

from in_node import needs, told

from isthmus.simulators.dynamics import DynamicsEnvironment, serve_dynamics

pytestmark = needs("dynamics-web-api")


async def test_dynamics_web_api_does_what_its_users_do_all_day() -> None:
    environment = DynamicsEnvironment(seed=3)
    async with serve_dynamics(environment) as served:
        login = (environment.tenant, environment.client_id, environment.client_secret)
        found = await told("dynamics_web_api.mjs", served.http_url, *login)
    assert found["organization"] == environment.organization_id
    assert (found["made"], found["bare"], found["read"]) == (["Alder", 10.5, True], 36, ["Alder", "1"])
    assert (found["stale"], found["fresh"], found["unchanged"]) == (False, True, None)
    assert (found["upserted"], found["again"], found["absent"]) == ("Cedar", "Cedar 2", None)
    assert (found["property"], found["cleared"]) == ("2", None)
    assert found["filtered"] == ["N6", "N5", "N4", "N3", "N2"]
    assert (found["pages"], found["all"], found["counted"]) == ([["N6", "N5"], ["N4", "N3"]], 5, 5)
    assert found["parent"]
    assert (found["batch"], found["refusedBatch"], found["undone"]) == (2, 1, 0)
    assert found["readInBatch"] == ["Birch", ["N1"]]
    assert (found["missing"]["status"], found["missing"]["code"]) == (404, "0x80040217")
    assert found["wrong"]["status"] == 400
    assert (found["deleted"], found["gone"]) == (True, 404)
    by_key = {row["isthmus_id"]: row["name"] for row in environment.rows("account").values() if row["isthmus_id"]}
    assert by_key == {"it's": "Cedar 2"}
