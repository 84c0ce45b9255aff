"""Garbage collection of a long-lived process."""

from __future__ import annotations

import gc

_YOUNG = 10_000


def settle() -> None:
    """Call once, when the process has started: what lives as long as the process is not searched again.

    A full collection stops everything, a call for help included, for as long as it searches.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 50)
