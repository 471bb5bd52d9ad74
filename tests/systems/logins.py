"""A login to the simulated Entra, over https, as in real life."""

from __future__ import annotations

from typing import Any

from isthmus.simulators.dynamics import DynamicsEnvironment, Served
from isthmus.systems.entra import Credentials, login
from isthmus.systems.http import Http, Token


async def log_in(environment: DynamicsEnvironment, served: Served, **more: Any) -> Token:
    """The token for these credentials (`client_secret`, `secret_file`, …), or the login's error raised."""
    http = Http(served.ca_file)
    await http.open()
    known: dict[str, Any] = {
        "authority": served.https_url,
        "tenant": environment.tenant,
        "client_id": environment.client_id,
        "client_secret": "",
        "scope": f"{served.https_url}/.default",
    }
    try:
        return await login(http, served.https_url, Credentials(**{**known, **more}))
    finally:
        await http.close()
