"""A Dynamics 365 Finance & Operations environment on localhost, true to the wire: OData, business and data events.

Promises: state lives in memory and is gone with the object; a seed gives the same ids.
"""

from isthmus.simulators.operations.environment import OperationsEnvironment
from isthmus.simulators.operations.schema import (
    CUSTOMER,
    INVOICE,
    JOURNAL,
    JOURNAL_LINE,
    LINE,
    ORDER,
    PRICE,
    PRODUCT,
    STANDARD_ENTITIES,
)
from isthmus.simulators.operations.server import serve_operations

__all__ = [
    "CUSTOMER",
    "INVOICE",
    "JOURNAL",
    "JOURNAL_LINE",
    "LINE",
    "ORDER",
    "PRICE",
    "PRODUCT",
    "STANDARD_ENTITIES",
    "OperationsEnvironment",
    "serve_operations",
]
