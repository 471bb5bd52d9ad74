"""A program of somebody else's: it reads change events with nothing but the published proto, grpcio's generated stubs and
fastavro, as Salesforce's quick start for Python does. `GATE TOKEN INSTANCE TENANT TOPIC COUNT`, run beside the stubs; it
prints a line of JSON an event, and at the end how often it asked.
"""

import io
import json
import sys
import threading

import grpc
import pubsub_api_pb2 as pb2
import pubsub_api_pb2_grpc as pb2_grpc
from fastavro import parse_schema, schemaless_reader

gate, token, instance, tenant, topic, count = sys.argv[1:]
metadata = (("accesstoken", token), ("instanceurl", instance), ("tenantid", tenant))
room = threading.Semaphore(1)
asked, seen, schemas = 0, 0, {}


def requests():
    global asked
    while True:
        room.acquire()
        asked += 1
        yield pb2.FetchRequest(topic_name=topic, replay_preset=pb2.ReplayPreset.EARLIEST, num_requested=2)


with grpc.insecure_channel(gate) as channel:
    stub = pb2_grpc.PubSubStub(channel)
    about = stub.GetTopic(pb2.TopicRequest(topic_name=topic), metadata=metadata)
    print(json.dumps({"topic": about.topic_name, "can_subscribe": about.can_subscribe}))
    stream = stub.Subscribe(requests(), metadata=metadata)
    for answer in stream:
        for one in answer.events:
            schema_id = one.event.schema_id
            if schema_id not in schemas:
                told = stub.GetSchema(pb2.SchemaRequest(schema_id=schema_id), metadata=metadata)
                schemas[schema_id] = parse_schema(json.loads(told.schema_json))
            event = schemaless_reader(io.BytesIO(one.event.payload), schemas[schema_id], None)
            print(json.dumps({"replay": one.replay_id.hex(), "event": event}))
            seen += 1
        if seen >= int(count):
            stream.cancel()
            break
        if answer.pending_num_requested == 0:
            room.release()
print(json.dumps({"asked": asked, "schemas": len(schemas)}))
