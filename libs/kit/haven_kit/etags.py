"""Etags of rows that count their versions (AIP-154; RFC 9110, section 8.8.3)."""

from haven_kit.errors import Stale


def of(version: int) -> str:
    """The etag of that version of a resource."""
    return f"v{version}"


def check(etag: str, version: int) -> None:
    """Raises Stale unless the etag is of this version. An empty one, or `*`, sets no condition.

    Accepts the quoted form of HTTP too; a weak validator never matches, as RFC 9110 asks of If-Match.
    """
    if etag in ("", "*"):
        return
    if etag.strip('"') != of(version):
        raise Stale
