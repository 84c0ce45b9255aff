"""What the chart nats/nats makes of its values: the configuration of one server.

Written after what its templates do as of version 1, for the values that the companions set; it is not the chart.
"""

from __future__ import annotations

import copy
import json
import re
import sysconfig
from pathlib import Path
from typing import Any

import aiohttp

PROGRAM = Path(sysconfig.get_path("scripts"), "nats-server")
_RELEASE = "nats"


def configuration(values: dict[str, Any]) -> dict[str, Any]:
    """The configuration, as the chart has it before it writes it down."""
    config = values["config"]
    cluster, stream = config["cluster"], config["jetstream"]
    scheme = "tls" if cluster["tls"]["enabled"] else "nats"
    servers = [f"{_RELEASE}-{number}.{_RELEASE}-headless:6222" for number in range(cluster["replicas"])]
    made = {
        "server_name": "<< $SERVER_NAME >>",
        "lame_duck_grace_period": "10s",
        "lame_duck_duration": "30s",
        "pid_file": "/var/run/nats/nats.pid",
        "port": 4222,
        "http_port": 8222,
        "tls": _tls(values, "nats"),
        "cluster": {
            "name": _RELEASE,
            "port": 6222,
            "no_advertise": True,
            "routes": [f"{scheme}://{server}" for server in servers],
            "tls": _tls(values, "cluster"),
        },
        "jetstream": merged(
            {
                "store_dir": stream["fileStore"]["dir"],
                "max_file_store": f"<< {stream['fileStore']['pvc']['size']} >>",
                "max_memory_store": 0,
            },
            stream["merge"],
        ),
    }
    return merged(made, config["merge"])


def merged(into: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Both, deeply; `more` wins."""
    made = copy.deepcopy(into)
    for key, value in more.items():
        both = isinstance(value, dict) and isinstance(made.get(key), dict)
        made[key] = merged(made[key], value) if both else value
    return made


def text(made: dict[str, Any], root: Path) -> str:
    """The file: `$include` and `<< >>` are written as the server's own syntax. Its folders are below `root`."""
    written = json.dumps(made, indent=2, sort_keys=True)
    written = re.sub(r'".*\$include": "(.*)",?', r"include \1;", written)
    written = re.sub(r'"<<\s+(.*)\s+>>"', r"\1", written)
    for folder in ("etc", "var", "data"):
        written = written.replace(f'"/{folder}', f'"{root}/{folder}')
    (root / "var" / "run" / "nats").mkdir(parents=True, exist_ok=True)
    return written


async def answers(port: int) -> bool:
    """Whether a server on this machine says that it and JetStream are well."""
    timeout = aiohttp.ClientTimeout(total=2)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"http://127.0.0.1:{port}/healthz?js-server-only=true") as response,
        ):
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False


def _tls(values: dict[str, Any], part: str) -> dict[str, Any]:
    tls = values["config"][part]["tls"]
    folder = f"/etc/nats-certs/{part}"
    made = {"cert_file": f"{folder}/tls.crt", "key_file": f"{folder}/tls.key"}
    if values.get("tlsCA", {}).get("enabled"):
        made["ca_file"] = "/etc/nats-ca-cert/ca.crt"
    return merged(made, tls.get("merge", {}))
