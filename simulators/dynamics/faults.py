"""What the platform answers when it refuses: HTTP status, error code and message, the last verbatim where known.

Promises: a `Fault` is the answer on the wire (dynamics.md §3.3), not an error of this program; nothing else crosses the
edge as an error.
"""

from __future__ import annotations

from typing import Any

MESSAGES = {
    "0x80072322": "Number of requests exceeded the limit of 6000 over time window of 300 seconds.",
    "0x80072321": (
        "Combined execution time of incoming requests exceeded limit of 1,200,000 milliseconds over time window of 300 "
        "seconds. Decrease number of concurrent requests or reduce the duration of requests and try again later."
    ),
    "0x80072326": "Number of concurrent requests exceeded the limit of 52.",
    "0x80060882": "The version of the existing record doesn't match the RowVersion property provided.",
    "0x80040237": "A record with matching key values already exists.",
    "0x80040216": "An unexpected error occurred.",
    "0x80044150": "Sql error: A database operation failed. Please try again.",
    "0x80044151": "SQL timeout expired.",
    "0x80044352": "Version stamp associated with the client has expired. Please perform a full sync.",
    "0x80040220": "Principal user is missing a privilege for this operation.",
}


class Fault(Exception):
    """A refusal. `retry_after` is in seconds."""

    def __init__(self, status: int, code: str, message: str | None = None, retry_after: float | None = None) -> None:
        self.status = status
        self.code = code
        self.message = message if message is not None else MESSAGES.get(code, "The request failed.")
        self.retry_after = retry_after
        super().__init__(f"{status} {code}: {self.message}")

    def body(self) -> dict[str, Any]:
        """`{"error": {"code", "message"}}`."""
        return {"error": {"code": self.code, "message": self.message}}

    def headers(self) -> dict[str, str]:
        """Retry-After in whole seconds, where there is one."""
        return {} if self.retry_after is None else {"Retry-After": f"{self.retry_after:g}"}


def locked(table: str, record_id: str) -> Fault:
    """Another transaction holds the row longer than the database waits."""
    return Fault(500, "0x80044151", f"SQL timeout expired. {table} With Id = {record_id} is locked.")


def rolled_back() -> Fault:
    """A plug-in failed at the end of the transaction."""
    return Fault(400, "0x80040265", "An error occurred in a plug-in: the transaction was rolled back.")


def missing_id(table: str, record_id: str) -> Fault:
    """No row with that id."""
    return Fault(404, "0x80040217", f"{table} With Id = {record_id} Does Not Exist")


def missing_key(table: str) -> Fault:
    """No row with those key values."""
    return Fault(404, "0x80060891", f"A record with the specified key values does not exist in {table} entity")


def taken(table: str, key: str, columns: tuple[str, ...]) -> Fault:
    """Another row holds the values of an alternate key."""
    names = ", ".join(columns)
    return Fault(
        412,
        "0x80060892",
        f"A record that has the attribute values {names} already exists. The entity key {key} on {table} requires that "
        "this set of attributes contains unique values. Select unique values and try again.",
    )


def invalid(message: str) -> Fault:
    """An argument that makes no sense."""
    return Fault(400, "0x80040203", message)


def payload(collection: str, message: str) -> Fault:
    """A body that does not fit the table."""
    return Fault(
        400, "0x80048d19", f"Error identified in Payload provided by the user for Entity :'{collection}': {message}"
    )


def no_property(table: str, name: str) -> Fault:
    """$select, $filter or $orderby names a column that is not there."""
    return Fault(
        400, "0x80060888", f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{table}'."
    )


def no_resource(segment: str) -> Fault:
    """The path leads nowhere."""
    return Fault(404, "0x8006088a", f"Resource not found for the segment '{segment}'.")


def too_long(table: str, column: str, limit: int) -> Fault:
    """Text over the column's maximum length (verbatim, webapi-batch-error-response-stop.http)."""
    return Fault(
        400,
        "0x80044331",
        f"A validation error occurred.  The length of the '{column}' attribute of the '{table}' entity exceeded the "
        f"maximum allowed length of '{limit}'.",
    )


def out_of_range(table: str, column: str, code: str, accepted: str) -> Fault:
    """A number outside its column's range, or a value that is no option of a choice."""
    return Fault(
        400,
        code,
        f"A validation error occurred. The value of '{column}' on record of type '{table}' is outside the valid range. "
        f"Accepted Values: {accepted}",
    )
