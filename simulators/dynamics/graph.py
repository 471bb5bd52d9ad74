"""Microsoft Graph, as far as an application renews its own secret by it.

Promises: a secret is told once, when it is made; several are valid together until they are removed; only a valid token is
let in. Not built: an end that passes by itself.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from isthmus.simulators.dynamics.authority import Authority
from isthmus.simulators.dynamics.faults import Fault

HINT_LETTERS = 3


class Graph:
    """The secrets of one application. `owned`: it may change them."""

    def __init__(self, authority: Authority, client_id: str, secret: str) -> None:
        self.owned = True
        self._authority, self._client_id = authority, client_id
        self._chance = random.Random(f"graph/{client_id}")
        self._secrets: dict[str, tuple[str, str, datetime]] = {}
        self.know(secret, authority.now() + timedelta(days=180))

    def know(self, secret: str, until: datetime, name: str = "") -> str:
        """A secret that is valid until then; its key id."""
        key = f"{self._chance.getrandbits(128):032x}"
        self._secrets[key] = (secret, name, until)
        self._authority.add_secret(self._client_id, secret)
        return key

    def end(self, secret: str, until: datetime) -> None:
        """A secret's end is another."""
        self._secrets = {
            key: (known, name, until if known == secret else end) for key, (known, name, end) in self._secrets.items()
        }

    def told(self) -> list[dict[str, Any]]:
        """All of them, without what nobody is told twice."""
        return [
            {
                "keyId": key,
                "displayName": name or None,
                "endDateTime": until.isoformat(),
                "hint": secret[:HINT_LETTERS],
                "secretText": None,
            }
            for key, (secret, name, until) in self._secrets.items()
        ]

    def routes(self) -> list[web.RouteDef]:
        """What is answered."""
        application = f"/v1.0/applications(appId='{self._client_id}')"
        return [
            web.get(application, self._get),
            web.post(f"{application}/addPassword", self._add),
            web.post(f"{application}/removePassword", self._remove),
        ]

    async def _get(self, request: web.Request) -> web.Response:
        refused = self._refused(request, owner=False)
        return refused or web.json_response({"passwordCredentials": self.told()})

    async def _add(self, request: web.Request) -> web.Response:
        if refused := self._refused(request, owner=True):
            return refused
        wanted: Mapping[str, Any] = (await request.json())["passwordCredential"]
        secret = f"{self._chance.getrandbits(160):040x}"
        until = datetime.fromisoformat(wanted["endDateTime"])
        key = self.know(secret, until, wanted.get("displayName", ""))
        (made,) = [one for one in self.told() if one["keyId"] == key]
        return web.json_response({**made, "secretText": secret})

    async def _remove(self, request: web.Request) -> web.Response:
        if refused := self._refused(request, owner=True):
            return refused
        secret, _, _ = self._secrets.pop((await request.json())["keyId"])
        self._authority.remove_secret(self._client_id, secret)
        return web.Response(status=204)

    def _refused(self, request: web.Request, *, owner: bool) -> web.Response | None:
        try:
            self._authority.bearer(request.headers.get("Authorization"))
        except Fault:
            return _error(401, "InvalidAuthenticationToken")
        return _error(403, "Authorization_RequestDenied") if owner and not self.owned else None


def _error(status: int, code: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": code}}, status=status)
