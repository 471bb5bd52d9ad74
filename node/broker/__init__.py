"""A real Kafka on this machine, for the demo and the tests, with no Java and no Docker needed.

Promises: what is started here ends with the process that started it, even by `kill -9`; `KAFKA_URL` always wins.
"""

from isthmus.node.broker.local import local_kafka, running_kafka

__all__ = ["local_kafka", "running_kafka"]
