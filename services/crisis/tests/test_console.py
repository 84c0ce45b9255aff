"""The console as it is shipped: its libraries are those published, and nothing in it reaches outside or runs inline."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio

from haven_crisis.web import console

from .world import World

FOLDER = resources.files("haven_crisis") / "console"
FILES = console.read(FOLDER)
VENDOR = {name: file.content for name, file in FILES.items() if name.startswith("vendor/")}
MANIFEST: dict[str, Any] = json.loads(VENDOR["vendor/manifest.json"])
PERMITTED = {"MIT", "Apache-2.0", "ISC", "BSD-2-Clause", "BSD-3-Clause"}
OURS = {name: file.content.decode() for name, file in FILES.items() if not name.startswith("vendor/")}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("library", MANIFEST["libraries"], ids=lambda each: each["name"])
def test_a_library_is_the_one_published_under_a_licence_that_permits_it(library: dict[str, Any]) -> None:
    assert library["licence"] in PERMITTED
    assert VENDOR[f"vendor/{library['licence_file']}"]
    for file in library["files"]:
        ours = VENDOR[f"vendor/{file['as']}"]
        assert _digest(ours) == file["sha256"]
        published = ours.decode()
        for bare, path in MANIFEST["names"].items():
            published = published.replace(f'from"{path}"', f'from"{bare}"')
        assert _digest(published.encode()) == file["sha256_published"], "nothing but the names of imports was changed"


def test_every_library_that_is_shipped_is_in_the_manifest() -> None:
    named = {file["as"] for each in MANIFEST["libraries"] for file in each["files"]}
    licences = {each["licence_file"] for each in MANIFEST["libraries"]}
    assert {name.removeprefix("vendor/") for name in VENDOR} == named | licences | {"manifest.json"}


def test_nothing_is_fetched_from_elsewhere() -> None:
    reached = {
        (name, found)
        for name, text in OURS.items()
        for found in re.findall(r"""(?:https?:)?//[\w.-]+\.\w+""", text)
        if found != "http://www.w3.org"
    }
    assert reached == set()


def test_nothing_is_inline() -> None:
    page = OURS["index.html"]
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=|javascript:", page)
    assert not [name for name, text in OURS.items() if re.search(r"\beval\(|new Function|innerHTML|\.write\(", text)]


def test_nothing_but_how_the_device_behaves_is_kept_beyond_the_tab() -> None:
    assert [
        name for name, text in OURS.items() if re.search(r"localStorage|indexedDB|document\.cookie|caches\.", text)
    ] == ["lib/settings.js"]


def test_every_import_leads_to_a_file_that_is_shipped() -> None:
    for name, text in OURS.items():
        for found in re.findall(r"""from "([^"]+)"|import[ (]"([^"]+)\"""", text):
            path = next(filter(None, found))
            assert path.startswith(("./", "../")), f"{name}: {path}"
            parts = [*name.split("/")[:-1], *path.split("/")]
            folder: list[str] = []
            for part in parts:
                if part == "..":
                    folder.pop()
                elif part != ".":
                    folder.append(part)
            assert "/".join(folder) in FILES, f"{name}: {path}"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def http(world: World) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of crisis's own edge."""
    edge = world.crisis.process.edge
    assert edge is not None
    async with aiohttp.ClientSession(f"http://127.0.0.1:{edge.port}") as session:
        yield session


async def test_the_page_comes_with_a_policy_that_permits_nothing_else(
    world: World, http: aiohttp.ClientSession
) -> None:
    async with http.get("/console/") as page:
        assert (page.status, page.content_type) == (200, "text/html")
        given = page.headers["content-security-policy"]
    policy = dict(each.strip().split(" ", 1) for each in given.split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    issuer = urlsplit(world.crisis.process.settings.issuer_url)
    assert policy["connect-src"] == f"'self' {issuer.scheme}://{issuer.netloc}"
    assert "unsafe" not in given


async def test_a_file_that_is_the_same_is_not_sent_again(http: aiohttp.ClientSession) -> None:
    async with http.get("/console/app.js") as first:
        assert first.headers["cache-control"] == "no-cache"
        etag = first.headers["etag"]
    async with http.get("/console/app.js", headers={"if-none-match": etag}) as again:
        assert (again.status, await again.read()) == (304, b"")


async def test_what_the_console_has_to_know_is_told_and_kept_by_nobody(http: aiohttp.ClientSession) -> None:
    async with http.get("/console/config.json") as told:
        assert told.headers["cache-control"] == "no-store"
        config = await told.json()
    assert (config["clientId"], config["scopes"]) == ("haven-console", "openid offline_access")
    async with http.get("/console", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["location"]) == (308, "/console/")
    async with http.get("/console/../settings.py") as answer:
        assert answer.status == 404
