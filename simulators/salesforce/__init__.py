"""A Salesforce org on localhost, true to the wire: OAuth, REST and change data capture over CometD.

Promises: strangers' clients accept it; state lives in memory and is gone with the object; a seed gives the same ids.
"""

from isthmus.simulators.salesforce.faults import Faults, Refused, refused
from isthmus.simulators.salesforce.ids import to18
from isthmus.simulators.salesforce.org import SalesforceOrg
from isthmus.simulators.salesforce.schema import STANDARD_OBJECTS, Field, Object, describe
from isthmus.simulators.salesforce.server import serve_salesforce

__all__ = [
    "STANDARD_OBJECTS",
    "Faults",
    "Field",
    "Object",
    "Refused",
    "SalesforceOrg",
    "describe",
    "refused",
    "serve_salesforce",
    "to18",
]
