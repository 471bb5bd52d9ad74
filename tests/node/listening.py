"""The Faust app of a stage that a test runs by itself."""

from __future__ import annotations

from pathlib import Path

from isthmus.node.transport import App


def listening(kafka: str, namespace: str, folder: Path) -> App:
    """It makes no topics and keeps nothing but what the runtime keeps in `folder`."""
    return App(
        f"{namespace}listen",
        broker=f"kafka://{kafka}",
        store="memory://",
        datadir=str(folder),
        web_enabled=False,
        consumer_auto_offset_reset="earliest",
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=False,
    )
