"""Several calls in one: Composite, Composite Graph, sObject Collections (salesforce.md §4.5).

Promises: the documented limits are refused; Composite is 200 whatever happens inside; a graph happens whole or not at
all; Collections keep the order, and without `allOrNone` a bad record holds up no other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiohttp import web

from isthmus.simulators.salesforce.door import Handler, hand
from isthmus.simulators.salesforce.faults import Refused, refused
from isthmus.simulators.salesforce.hand import Hand
from isthmus.simulators.salesforce.org import SalesforceOrg
from isthmus.simulators.salesforce.records import Reply, perform, shown

REFERENCE = re.compile(r"@\{(\w+)(?:\[(\d+)\])?\.(\w+)\}")
SUBREQUESTS, GRAPHS, NODES, DEPTH, RECORDS, CHUNKS, FAILED_GRAPHS = 25, 75, 500, 15, 200, 10, 14
HALTED = "The transaction was rolled back since another operation in the same transaction failed."
ROLLED_BACK = "Record rolled back because not all records were valid and the request was using AllOrNone header"
CALLER = re.compile(r"client=([^;,\s]+)")


class _Undo(Exception):
    """Leaves a transaction."""


class Composite:
    """The handlers. `org.names_batches`: do Collections and graphs pass the caller's name on to change events? Nobody
    documents it (salesforce.md §8)."""

    def __init__(self, org: SalesforceOrg) -> None:
        self.org = org

    def routes(self) -> list[tuple[str, str, Handler]]:
        """The routes below the API's root."""
        listed: list[tuple[str, str, Handler]] = [
            ("POST", "/composite", self.composite),
            ("POST", "/composite/graph", self.graph),
            ("POST", "/composite/sobjects", self.insert),
            ("PATCH", "/composite/sobjects", self.update),
            ("DELETE", "/composite/sobjects", self.delete),
            ("GET", "/composite/sobjects/{object}", self.retrieve),
            ("POST", "/composite/sobjects/{object}", self.retrieve),
            ("PATCH", "/composite/sobjects/{object}/{field}", self.upsert),
        ]
        return listed + [(method, f"{path}/", handler) for method, path, handler in listed]

    # -- Composite

    async def composite(self, request: web.Request) -> web.StreamResponse:
        """`{allOrNone, collateSubrequests, compositeRequest: [...]}`."""
        told = await _object(request)
        calls = told.get("compositeRequest") or []
        _within(len(calls), SUBREQUESTS, "subrequests")
        responses, _ = self._together(hand(self.org, request), calls, all_or_none=bool(told.get("allOrNone")))
        return web.json_response({"compositeResponse": responses})

    async def graph(self, request: web.Request) -> web.StreamResponse:
        """`{graphs: [{graphId, compositeRequest}]}`: each of them happens or does not."""
        graphs = (await _object(request)).get("graphs") or []
        _within(len(graphs), GRAPHS, "graphs")
        _within(sum(len(graph["compositeRequest"]) for graph in graphs), NODES, "nodes")
        by = hand(self.org, request, named=self.org.names_batches)
        answers: list[dict[str, Any]] = []
        for graph in graphs:
            failed = sum(not answer["isSuccessful"] for answer in answers)
            answers.append(self._graph(by, graph, halted=failed > FAILED_GRAPHS))
        return web.json_response({"graphs": answers})

    def _graph(self, by: Hand, graph: Mapping[str, Any], *, halted: bool) -> dict[str, Any]:
        calls = graph["compositeRequest"]
        if _depth(calls) > DEPTH:
            raise refused(400, "LIMIT_EXCEEDED", f"a graph is at most {DEPTH} deep")
        if halted:
            responses, well = [_halted(call) for call in calls], False
        else:
            responses, well = self._together(by, calls, all_or_none=True)
        return {
            "graphId": graph["graphId"],
            "graphResponse": {"compositeResponse": responses},
            "isSuccessful": well,
        }

    def _together(
        self, by: Hand, calls: Sequence[Mapping[str, Any]], *, all_or_none: bool
    ) -> tuple[list[dict[str, Any]], bool]:
        responses: list[dict[str, Any]] = []
        try:
            with self.org.all_or_none():
                for call in calls:
                    responses.append(self._one(by, call, {one["referenceId"]: one for one in responses}))
                    if all_or_none and responses[-1]["httpStatusCode"] >= 300:
                        raise _Undo
        except _Undo:
            cause = responses[-1]
            return [cause if call["referenceId"] == cause["referenceId"] else _halted(call) for call in calls], False
        return responses, all(response["httpStatusCode"] < 300 for response in responses)

    def _one(self, by: Hand, call: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
        named = CALLER.search((call.get("httpHeaders") or {}).get("Sforce-Call-Options", ""))
        if named:
            origin = by.origin.partition(";")[0] + f";client={named[1]}"
            by = Hand(by.org, by.user, origin, by.version, by.saves_duplicates)
        try:
            url = str(_filled(call["url"], before))
            reply = self._call(by, call["method"], url, _filled(call.get("body"), before))
        except Refused as fault:
            reply = Reply(fault.status, fault.body)
        return {
            "body": reply.body,
            "httpHeaders": dict(reply.headers),
            "httpStatusCode": reply.status,
            "referenceId": call["referenceId"],
        }

    def _call(self, by: Hand, method: str, url: str, body: Any) -> Reply:
        if "/composite/sobjects" in url:
            tail = url.partition("/composite/sobjects")[2].strip("/").split("/")
            return Reply(200, self._collection(by, method, tail if tail != [""] else [], body))
        return perform(by, method, url, body)

    # -- Collections

    async def insert(self, request: web.Request) -> web.StreamResponse:
        """New records."""
        return await self._collections(request, "POST", [])

    async def update(self, request: web.Request) -> web.StreamResponse:
        """Changes by id."""
        return await self._collections(request, "PATCH", [])

    async def upsert(self, request: web.Request) -> web.StreamResponse:
        """Changes or new records by external id."""
        return await self._collections(request, "PATCH", [request.match_info["object"], request.match_info["field"]])

    async def _collections(self, request: web.Request, method: str, tail: list[str]) -> web.StreamResponse:
        body = await _object(request)
        by = hand(self.org, request, named=self.org.names_batches)
        return web.json_response(self._collection(by, method, tail, body))

    def _collection(self, by: Hand, method: str, tail: Sequence[str], body: Any) -> list[dict[str, Any]]:
        records = body.get("records") or []
        _within(len(records), RECORDS, "records")
        types = [record.get("attributes", {}).get("type") for record in records]
        _within(sum(one != other for one, other in zip(types, [None, *types], strict=False)), CHUNKS, "chunks")
        return self._each(lambda record: _write(by, method, tail, record), records, bool(body.get("allOrNone")))

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """`?ids=a,b&allOrNone=false`."""
        ids = request.query.get("ids", "").split(",")
        _within(len(ids), RECORDS, "records")
        by = hand(self.org, request, named=self.org.names_batches)

        def gone(record_id: str) -> dict[str, Any]:
            by.delete(self.org.object_of(record_id), record_id)
            return {"id": record_id}

        strict = request.query.get("allOrNone", "false").lower() == "true"
        return web.json_response(self._each(gone, ids, strict))

    async def retrieve(self, request: web.Request) -> web.StreamResponse:
        """Rows by id, null where there is none."""
        told = dict(request.query) if request.method == "GET" else await _object(request)
        ids, names = (_listed(told.get(name, [])) for name in ("ids", "fields"))
        by, one = hand(self.org, request), request.match_info["object"]
        found = self.org.rows(one)
        rows = [found.get(record_id) for record_id in ids]
        return web.json_response([row and shown(by, one, row, ",".join(["Id", *names])) for row in rows])

    def _each(self, do: Any, records: Iterable[Any], all_or_none: bool) -> list[dict[str, Any]]:
        results: list[dict[str, Any]] = []
        try:
            with self.org.all_or_none():
                for record in records:
                    results.append(_result(do, record))
                if all_or_none and not all(result["success"] for result in results):
                    raise _Undo
        except _Undo:
            return [_undone(result) for result in results]
        return results


def _write(by: Hand, method: str, tail: Sequence[str], record: Mapping[str, Any]) -> dict[str, Any]:
    name = record.get("attributes", {}).get("type", "")
    fields = {key: value for key, value in record.items() if key not in ("attributes", "id", "Id")}
    record_id = str(record.get("id", record.get("Id", "")))
    if method == "POST":
        return {"id": by.insert(name, fields)}
    if not tail:
        by.update(name, record_id, fields)
        return {"id": by.org.row(name, record_id)["Id"]}
    key = tail[1]
    value = record_id if key == "Id" else fields.pop(key, None)
    if not value:
        raise refused(400, "MISSING_ARGUMENT", f"{key} not specified")
    record_id, created = by.upsert(name, key, str(value), fields)
    return {"id": record_id, "created": created}


def _result(do: Any, record: Any) -> dict[str, Any]:
    try:
        done = do(record)
    except Refused as fault:
        return {"success": False, "errors": [_error(one) for one in fault.body]}
    created = {"created": done["created"]} if "created" in done else {}
    return {"id": done["id"], "success": True, "errors": [], **created}


def _error(one: Any) -> dict[str, Any]:
    """Collections say `statusCode` where REST says `errorCode` (salesforce.md §4.2)."""
    if isinstance(one, str):
        return {"statusCode": "DUPLICATE_EXTERNAL_ID", "message": f"more than one record found: {one}", "fields": []}
    return {"statusCode": one["errorCode"], "message": one["message"], "fields": one.get("fields", [])}


def _undone(result: dict[str, Any]) -> dict[str, Any]:
    if not result["success"]:
        return result
    error = {"statusCode": "ALL_OR_NONE_OPERATION_ROLLED_BACK", "message": ROLLED_BACK, "fields": []}
    return {"id": result["id"], "success": False, "errors": [error]}


def _halted(call: Mapping[str, Any]) -> dict[str, Any]:
    body = [{"errorCode": "PROCESSING_HALTED", "message": HALTED}]
    return {"body": body, "httpHeaders": {}, "httpStatusCode": 400, "referenceId": call["referenceId"]}


def _filled(value: Any, before: Mapping[str, Any]) -> Any:
    """The value with `@{reference.field}` filled in."""
    if isinstance(value, dict):
        return {name: _filled(one, before) for name, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, before) for one in value]
    return REFERENCE.sub(lambda match: _answered(match, before), value) if isinstance(value, str) else value


def _answered(match: re.Match[str], before: Mapping[str, Any]) -> str:
    try:
        body = before[match[1]]["body"]
        return str((body[int(match[2])] if match[2] else body)[match[3]])
    except (KeyError, IndexError, TypeError):
        raise refused(400, "PROCESSING_HALTED", f"Invalid reference specified. No value for {match[1]}.id") from None


def _depth(calls: Iterable[Mapping[str, Any]]) -> int:
    depths: dict[str, int] = {}
    for call in calls:
        named = {match[1] for match in REFERENCE.finditer(f"{call['url']} {call.get('body')}")}
        depths[call["referenceId"]] = 1 + max((depths.get(name, 0) for name in named), default=0)
    return max(depths.values(), default=0)


def _within(number: int, limit: int, what: str) -> None:
    if number > limit:
        raise refused(400, "LIMIT_EXCEEDED", f"{number} {what}, at most {limit} are allowed")


def _listed(told: Any) -> list[str]:
    return told.split(",") if isinstance(told, str) else list(told)


async def _object(request: web.Request) -> dict[str, Any]:
    try:
        told = await request.json()
    except ValueError:
        raise refused(400, "JSON_PARSER_ERROR", "Unexpected character") from None
    if not isinstance(told, dict):
        raise refused(400, "JSON_PARSER_ERROR", "an object is expected")
    return told
