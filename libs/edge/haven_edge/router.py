"""Which method answers a request: a tree of path segments, a few look-ups deep whatever the number of routes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import unquote_to_bytes

from haven_edge.problems import Problem, not_found

T = TypeVar("T")
_PARAMETER = re.compile(r"\{[^{}]+\}")


@dataclass(slots=True)
class _Node(Generic[T]):
    literals: dict[str, _Node[T]] = field(default_factory=dict)
    parameter: _Node[T] | None = None
    ends: dict[str, dict[str, T]] = field(default_factory=dict)
    """By custom verb (empty for none), then by HTTP method."""


class Router(Generic[T]):
    """Routes by path and HTTP method. Literal segments come before parameters."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

    def add(self, http_method: str, path: str, target: T) -> None:
        """Add a route such as `/v1/alerts/{alert_id}:acknowledge`."""
        *front, last = path.strip("/").split("/")
        last, _, custom = last.partition(":")
        node = self._root
        for segment in (*front, last):
            if _PARAMETER.fullmatch(segment):
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.literals.setdefault(segment, _Node())
        node.ends.setdefault(custom, {})[http_method] = target

    def find(self, http_method: str, raw_path: bytes) -> tuple[T, list[str]]:
        """The target of a request and the path's parameters in order. Raises Problem 404 or 405."""
        segments = raw_path.decode("ascii", "replace").strip("/").split("/")
        segments[-1], _, custom = segments[-1].partition(":")  # a colon inside a parameter comes encoded
        found = _walk(self._root, segments, 0, custom, [])
        if found is None:
            raise not_found()
        methods, parameters = found
        target = methods.get(http_method)
        if target is None:
            raise Problem("method_not_allowed", headers=[(b"allow", ", ".join(sorted(methods)).encode())])
        return target, [_decoded(each) for each in parameters]


def _walk(
    node: _Node[T], segments: list[str], at: int, custom: str, taken: list[str]
) -> tuple[dict[str, T], list[str]] | None:
    if at == len(segments):
        methods = node.ends.get(custom)
        return (methods, taken) if methods is not None else None
    segment = segments[at]
    literal = node.literals.get(segment)
    if literal is not None and (found := _walk(literal, segments, at + 1, custom, taken)):
        return found
    if node.parameter is not None and segment:
        return _walk(node.parameter, segments, at + 1, custom, [*taken, segment])
    return None


def _decoded(segment: str) -> str:
    if "%" not in segment:
        return segment
    try:
        return unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        raise not_found() from None
