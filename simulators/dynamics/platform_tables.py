"""The tables that the platform itself works from: users, webhook steps, messages, roles, system jobs, the audit.

Promises: those of schema.py; none of their writes raises a webhook.
"""

from __future__ import annotations

from isthmus.simulators.dynamics.schema import Column, internal, lookup, text

PLATFORM_TABLES = (
    internal(
        "systemuser", "fullname", text("fullname", 200), Column("applicationid", "guid"), text("domainname", 1024)
    ),
    internal("businessunit", "name", text("name", 160)),
    internal(
        "transactioncurrency",
        "currencyname",
        text("currencyname"),
        text("isocurrencycode", 5),
        collection="transactioncurrencies",
    ),
    internal("organization", "name", text("name", 160), Column("expirechangetrackingindays", "int", default=30)),
    internal(
        "serviceendpoint",
        "name",
        text("name", 160),
        Column("contract", "picklist", options={8: "Webhook"}),
        Column("authtype", "picklist", options={4: "WebhookKey", 5: "HttpHeader", 6: "HttpQueryString"}),
        Column("authvalue", "string", 2048, secret=True),
        text("url", 2000),
        Column("messageformat", "picklist", options={1: "Binary XML", 2: "Json", 3: "Text XML"}, default=2),
    ),
    internal("sdkmessage", "name", text("name", 256)),
    internal("role", "name", text("name", 100), lookup("businessunitid", businessunitid="businessunit")),
    internal("privilege", "name", text("name", 100)),
    internal("roleprivileges", "depth", Column("roleid", "guid"), Column("privilegeid", "guid"), text("depth", 20)),
    internal("systemuserroles", "userid", Column("userid", "guid"), Column("roleid", "guid")),
    internal(
        "audit",
        "objecttypecode",
        # Shown as a lookup is, though what it refers to is gone.
        Column("_objectid_value", "guid"),
        text("objecttypecode"),
        Column("operation", "picklist", options={1: "Create", 2: "Update", 3: "Delete", 4: "Access"}),
        Column("createdon", "datetime", writable=False),
    ),
    internal(
        "sdkmessagefilter",
        "name",
        text("name", 256),
        text("primaryobjecttypecode"),
        lookup("sdkmessageid", sdkmessageid="sdkmessage"),
    ),
    internal(
        "sdkmessageprocessingstep",
        "name",
        text("name", 256),
        Column("stage", "picklist", options={10: "Pre-validation", 20: "Pre-operation", 40: "Post-operation"}),
        Column("rank", "int", default=1),
        Column("mode", "picklist", options={0: "Synchronous", 1: "Asynchronous"}),
        Column("supporteddeployment", "picklist", options={0: "Server Only", 1: "Client Only", 2: "Both"}, default=0),
        Column("asyncautodelete", "bool", default=False),
        text("filteringattributes", 100000),
        Column("statecode", "state", options={0: "Enabled", 1: "Disabled"}, default=0),
        lookup("eventhandler", eventhandler_serviceendpoint="serviceendpoint"),
        lookup("sdkmessageid", sdkmessageid="sdkmessage"),
        lookup("sdkmessagefilterid", sdkmessagefilterid="sdkmessagefilter"),
    ),
    internal(
        "asyncoperation",
        "name",
        text("name", 256),
        text("messagename", 160),
        text("primaryentitytype", 128),
        text("message", 100000),
        Column("regardingobjectid", "guid"),
        Column("statecode", "state", options={0: "Ready", 1: "Suspended", 2: "Locked", 3: "Completed"}, default=0),
        Column(
            "statuscode", "picklist", options={0: "Waiting For Resources", 30: "Succeeded", 31: "Failed"}, default=0
        ),
        Column("createdon", "datetime", writable=False),
        lookup("owningextensionid", owningextensionid="sdkmessageprocessingstep"),
    ),
)
