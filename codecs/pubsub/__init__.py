"""The messages of Salesforce's Pub/Sub API: `pubsub_api.proto` as published (forcedotcom/pub-sub-api, CC0), and what
`make stubs` generates from it. The calls themselves are in systems/salesforce/pubsub.py."""

SERVICE = "eventbus.v1.PubSub"
