"""Tasks for stewards: a write like any other, since their object has a key of ours too."""

from isthmus.config.mapping import SystemMapping

TASK = SystemMapping.model_validate(
    {
        "object": "Task",
        "external_id": "Isthmus_Id__c",
        "fields": {"subject": "Subject", "about": "WhatId", "description": "Description", "owner": "OwnerId"},
    }
)
