"""A Salesforce org on localhost, true to the wire: OAuth, REST, change data capture over CometD and the Pub/Sub API.

Promises: strangers' clients accept it; state lives in memory and is gone with the object; a seed gives the same ids.
"""

from isthmus.simulators.salesforce.faults import Faults, Refused, refused
from isthmus.simulators.salesforce.ids import to18
from isthmus.simulators.salesforce.org import SalesforceOrg
from isthmus.simulators.salesforce.pubsub import PubSub, serve_pubsub
from isthmus.simulators.salesforce.schema import STANDARD_OBJECTS, Field, Object, describe
from isthmus.simulators.salesforce.server import serve_salesforce

__all__ = [
    "STANDARD_OBJECTS",
    "Faults",
    "Field",
    "Object",
    "PubSub",
    "Refused",
    "SalesforceOrg",
    "describe",
    "refused",
    "serve_pubsub",
    "serve_salesforce",
    "to18",
]
