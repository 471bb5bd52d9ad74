"""What the platform answers when it refuses: OData error bodies as F&O writes them, the reason in the inner error.

Promises: a `Fault` is the answer on the wire, not an error of this program. A refused write is 400 alone and 500 in a
`$batch`; both name `AxODataWriteException`.
"""

from __future__ import annotations

from typing import Any

WRITE_REFUSED = "Microsoft.Dynamics.Platform.Integration.Services.OData.AxODataWriteException"
ODATA_REFUSED = "Microsoft.OData.Core.ODataException"
TOO_MANY = "Too many requests. The request was denied because resource utilization is too high. Try again later."


class Fault(Exception):
    """A refusal. `retry_after` is in seconds; `kind` the inner error's type, none for an answer without a JSON body."""

    def __init__(self, status: int, message: str, kind: str = "", retry_after: float | None = None) -> None:
        self.status = status
        self.message = message
        self.kind = kind
        self.retry_after = retry_after
        super().__init__(f"{status}: {message}")

    def body(self) -> dict[str, Any]:
        """The OData error, the reason below a message that says nothing."""
        inner = {"message": self.message, "type": self.kind, "stacktrace": ""}
        return {"error": {"code": "", "message": "An error has occurred.", "innererror": inner}}

    def headers(self) -> dict[str, str]:
        """Retry-After in whole seconds, where there is one."""
        return {} if self.retry_after is None else {"Retry-After": f"{self.retry_after:g}"}


def write_refused(entity: str, *infolog: str) -> Fault:
    """Validation said no; the text is X++'s own log."""
    told = "; ".join(infolog)
    return Fault(400, f"Write failed for table row of type '{entity}'. Infolog: {told}.", WRITE_REFUSED)


def locked(entity: str) -> Fault:
    """Another transaction holds the row."""
    told = f"Cannot edit a record in {entity}. Deadlock, where one or more users have simultaneously locked the whole table"
    return write_refused(entity, f"Error: {told} or part of it")


def rolled_back() -> Fault:
    """X++ threw at the end of the transaction."""
    return Fault(400, "Infolog: Error: Update has been canceled. The transaction was rolled back.", WRITE_REFUSED)


def no_resource(segment: str) -> Fault:
    """The path leads nowhere."""
    return Fault(404, f"Resource not found for the segment '{segment}'.", ODATA_REFUSED)


def no_row(collection: str) -> Fault:
    """No row has that key."""
    return Fault(404, f"No resources were found when selecting for update in {collection}.", ODATA_REFUSED)


def invalid(message: str) -> Fault:
    """A request that makes no sense."""
    return Fault(400, f"The query specified in the URI is not valid. {message}", ODATA_REFUSED)


def no_property(public: str, name: str) -> Fault:
    """$select, $filter or $orderby names a column that is not there."""
    return invalid(f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.DataEntities.{public}'.")


def undeclared(public: str, name: str) -> Fault:
    """A body names a column that is not there."""
    return Fault(
        400,
        f"The property '{name}' does not exist on type 'Microsoft.Dynamics.DataEntities.{public}'. Make sure to only use "
        "property names that are defined by the type.",
        ODATA_REFUSED,
    )


def changed() -> Fault:
    """If-Match names another version."""
    return Fault(412, "The record has been changed by another user or process.", ODATA_REFUSED)


def throttled(retry_after: float) -> Fault:
    """Priority-based throttling."""
    return Fault(429, TOO_MANY, "", retry_after)
