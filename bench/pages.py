"""What the benchmark says, as people read it: a table in docs/performance.md and a plot beside it.

Promises: only the part of the page between its two marks is replaced; the plot is SVG, drawn without any library.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

DOCS = Path(__file__).parents[1] / "docs"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
TOLD = {
    "floor": "bare librdkafka + RocksDB loop",
    "intake": "Isthmus: intake",
    "identify": "Isthmus: identify",
    "merge": "Isthmus: merge",
    "whole": "Isthmus: the whole way, one worker",
    "kafka_streams": "Kafka Streams 4.3.1 (warm)",
    "quix": "Quix Streams",
    "plain_faust": "plain Faust 0.15.3",
}
OURS = ("intake", "identify", "merge", "whole")
WIDTH, ROW, LEFT = 760, 30, 260


def table(found: dict[str, Any]) -> str:
    """The figures as a Markdown table."""
    lines = ["| contender | CPU µs a change | changes/s | times the floor |", "|---|---:|---:|---:|"]
    floor = found["cpu_us_per_change"]["floor"]
    for name, told in TOLD.items():
        if name in found["cpu_us_per_change"]:
            cpu, speed = found["cpu_us_per_change"][name], found["changes_per_second"][name]
            lines.append(f"| {told} | {cpu:.1f} | {speed:,} | {cpu / floor:.2f} |")
    rounds = f"Medians of {found['rounds']} rounds of {found['changes']:,} changes each, after as many to warm up."
    return "\n".join([*lines, "", f"{rounds} {found['machine']}, {found['date']}."])


def plot(found: dict[str, Any]) -> str:
    """CPU per change as bars."""
    held = [(TOLD[name], found["cpu_us_per_change"][name], name) for name in TOLD if name in found["cpu_us_per_change"]]
    scale = (WIDTH - LEFT - 80) / max(cpu for _, cpu, _ in held)
    bars = [
        f'<text x="{LEFT - 8}" y="{row * ROW + 20}" text-anchor="end">{escape(told)}</text>'
        f'<rect x="{LEFT}" y="{row * ROW + 6}" width="{cpu * scale:.0f}" height="18" '
        f'fill="{"#2a6f97" if name in OURS else "#a9b4c2"}"/>'
        f'<text x="{LEFT + cpu * scale + 6:.0f}" y="{row * ROW + 20}">{cpu:.0f} µs</text>'
        for row, (told, cpu, name) in enumerate(held)
    ]
    size = f'width="{WIDTH}" height="{len(held) * ROW + 10}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13">{"".join(bars)}</svg>\n'


def write_pages(found: dict[str, Any]) -> None:
    """Renew the table and the plot."""
    page = DOCS / "performance.md"
    text = page.read_text()
    before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    page.write_text(f"{before}\n{table(found)}\n\n![CPU per change](performance.svg)\n{after}")
    (DOCS / "performance.svg").write_text(plot(found))
