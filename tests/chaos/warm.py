"""Crisis replicas that start in a moment: `python warm.py` has everything imported, and forks for each that is wanted.

A start costs a second or two of imports; two hundred of them, twice as many minutes. The forked process is one of its
own and runs what `python -m haven_crisis` runs. Reads lines of JSON (`environment`, `folder`, `log`) from its input and
writes the process id of each replica to its output; ends its replicas when its input ends.

A replica that `dies_before_ack` is killed when it is about to tell NATS that an event is done: the reaction is
committed by then.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import sys
from typing import Any

from nats.aio.msg import Msg

PR_SET_PDEATHSIG = 1


def replica(wanted: dict[str, Any]) -> None:
    """Be the replica. Never returns."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    log = os.open(wanted["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(wanted["environment"])
    os.chdir(wanted["folder"])
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    from haven_crisis.__main__ import SPEC
    from haven_kit.service import main

    if wanted["dies_before_ack"]:
        Msg.ack = _die  # type: ignore[assignment, method-assign]  # dies where a crash would hurt most
    main(SPEC, [])
    os._exit(0)


async def _die(_: Msg) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def serve() -> None:
    """Fork for each line."""
    import haven_crisis.__main__  # noqa: F401

    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    sys.stdout.write("warm\n")
    sys.stdout.flush()
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            replica(json.loads(line))
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
