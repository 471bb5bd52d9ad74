"""Tasks for stewards: a write like any other, since their object has a key of ours too."""

from isthmus.config.mapping import SystemMapping

TASK = SystemMapping(
    object="Task",
    external_id="Isthmus_Id__c",
    collection=None,
    primary_key="Id",
    fields={"subject": "Subject", "about": "WhatId", "description": "Description", "owner": "OwnerId"},
)
