"""The kill matrix: a node on real Kafka, its workers killed and troubled on purpose, and the proof that nothing is lost."""
