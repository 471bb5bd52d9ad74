"""The data entities by which an environment is set up: roles and who has them, endpoints and what is sent to them.

Promises: names and keys are the real ones (the metadata as the SAP Cloud SDK publishes it), as far as they are told.
"""

from __future__ import annotations

from isthmus.simulators.operations.schema import Column, entity, enum, no_yes, text

ROLES, ASSIGNED = "SystemSecurityRoleEntity", "SystemSecurityUserRoleEntity"
ENDPOINTS, SENT = "BusinessEventsEndpointEntity", "BusinessEventsConfigurationEntity"

SETUP_ENTITIES = (
    entity(
        ROLES,
        "SecurityRole",
        "SecurityRoles",
        ("SecurityRoleIdentifier",),
        text("SecurityRoleIdentifier", "SecurityRoleName"),
        read_only=True,
    ),
    entity(
        ASSIGNED,
        "SecurityUserRoleAssociation",
        "SecurityUserRoleAssociations",
        ("UserId", "SecurityRoleIdentifier"),
        (
            Column("UserId", length=20),
            Column("SecurityRoleIdentifier", refers=(ROLES, "SecurityRoleIdentifier")),
            Column("SecurityRoleName", mandatory=True),
            enum("AssignmentStatus", "RoleAssignmentStatus", "None", "Enabled", "Disabled"),
            enum("AssignmentMode", "RoleAssignmentMode", "None", "Manual", "Automatic"),
        ),
    ),
    entity(ENDPOINTS, "BusinessEventsEndpoint", "BusinessEventsEndpoints", ("Name",), text("Name", "Description")),
    entity(
        SENT,
        "BusinessEventsConfiguration",
        "BusinessEventsConfigurations",
        ("BusinessEventsTable", "LegalEntity", "BusinessEventsEndpoint_Name"),
        (
            *text("BusinessEventsTable", "LegalEntity"),
            Column("BusinessEventsEndpoint_Name", refers=(ENDPOINTS, "Name")),
            no_yes("Disabled"),
        ),
    ),
)
