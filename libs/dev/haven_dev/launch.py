"""Become another program that ends when its parent does. Run as a script: launch.py PARENT_PID SIGNAL UID GID COMMAND…

Between fork and exec only async-signal-safe code may run in a process with threads, so this is a program of its own
and not a `preexec_fn`. Uses the standard library alone.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Drop privileges when told, ask the kernel for a signal at the parent's death, become the program."""
    parent, death_signal, uid, gid = map(int, sys.argv[1:5])
    command = sys.argv[5:]
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":  # elsewhere the next start ends what was left
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:
            raise SystemExit("the parent ended before its child began")
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
