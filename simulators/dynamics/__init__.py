"""A Dynamics 365 (Dataverse) environment on localhost, true to the wire: Entra authority, Web API and webhooks.

Promises: strangers' clients accept it; state lives in memory and is gone with the object; a seed gives the same ids.
"""

from isthmus.simulators.dynamics.environment import DynamicsEnvironment
from isthmus.simulators.dynamics.faults import Fault
from isthmus.simulators.dynamics.schema import STANDARD_TABLES, Column, Table, table
from isthmus.simulators.dynamics.server import Served, serve_dynamics

__all__ = ["STANDARD_TABLES", "Column", "DynamicsEnvironment", "Fault", "Served", "Table", "serve_dynamics", "table"]
