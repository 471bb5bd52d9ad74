"""Operators: who may change anything over the HTTP API, and what is answered to everybody else.

Promises: without a token in the settings nobody may; the comparison takes as long whatever is shown.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, SecretStr, ValidationError

from isthmus.node.endpoint import Problem, problem

BAD, NOBODY, SHUT = 400, 401, 403
# What a guarded endpoint may answer beside its own.
GUARDED: dict[int, type[BaseModel]] = {BAD: Problem, NOBODY: Problem, SHUT: Problem}
B = TypeVar("B", bound=BaseModel)


class Refusal(Exception):
    """A request that is not carried out, with its response."""

    def __init__(self, response: web.Response) -> None:
        super().__init__(response.status)
        self.response = response


class Operators:
    """Those who hold `token`; None: nobody does."""

    def __init__(self, token: SecretStr | None) -> None:
        self._token = token

    async def allowed(self, request: web.Request, model: type[B]) -> B:
        """The request's body, where its sender may change anything; Refusal with the response where not."""
        if self._token is None:
            raise Refusal(problem(SHUT, "nobody may change anything here", "set node.operator_token"))
        shown = request.headers.get("Authorization", "").encode(errors="surrogatepass")
        if not hmac.compare_digest(shown, f"Bearer {self._token.get_secret_value()}".encode()):
            raise Refusal(problem(NOBODY, "this is not the operator's token", "send `Authorization: Bearer <token>`"))
        try:
            return model.model_validate_json(await request.read())
        except ValidationError as fault:
            told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in fault.errors())
            raise Refusal(problem(BAD, told)) from None


async def answered(work: Awaitable[web.StreamResponse]) -> web.StreamResponse:
    """The response of guarded work, or of its refusal."""
    try:
        return await work
    except Refusal as refusal:
        return refusal.response
