"""Waiting for what happens elsewhere."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, overload

T = TypeVar("T")

PAUSE_S = 0.02


@overload
async def eventually(condition: Callable[[], Coroutine[Any, Any, T]], timeout: float = 10) -> T: ...
@overload
async def eventually(condition: Callable[[], T], timeout: float = 10) -> T: ...
async def eventually(condition: Callable[[], Any], timeout: float = 10) -> Any:
    """Ask `condition` again and again until it returns something true, and return that.

    A condition that raises AssertionError has not come true yet. Raises AssertionError after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        failure: AssertionError | None = None
        value: Any = None
        try:
            result = condition()
            value = await result if inspect.isawaitable(result) else result
        except AssertionError as error:
            failure = error
        if failure is None and value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not so after {timeout} s: {failure or value!r}") from failure
        await asyncio.sleep(PAUSE_S)
