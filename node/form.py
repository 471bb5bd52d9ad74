"""Which form of the program runs here: a wheel's compiled one or the interpreted one (docs/adr/0009-compiled.md).

Promises: nothing is imported to find out.
"""

from __future__ import annotations

from importlib.machinery import ExtensionFileLoader
from importlib.util import find_spec

COMPILED, INTERPRETED = "compiled", "interpreted"
# All modules of a wheel are compiled, or none: this one stands for them.
ONE = "isthmus.tables.fold"


def form(module: str = ONE) -> str:
    """`compiled` or `interpreted`: what an import of this module gives."""
    found = find_spec(module)
    return COMPILED if found is not None and isinstance(found.loader, ExtensionFileLoader) else INTERPRETED
