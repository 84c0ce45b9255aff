"""A Kubernetes control plane on loopback: etcd, API server, controllers and scheduler as they are; kubelets played.

The programs are looked for in the folder that CONTROL_PLANE names, in `.tools/control-plane`, where
`scripts/control-plane` puts them, and on PATH.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from kubelets import Kubelets
from rendering import HELM, ROOT

from haven_dev.ports import LOOPBACK, free_port

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
BUILT = ROOT / ".tools" / "control-plane"
KUBECTL = HELM.with_name("kubectl")
START_S = 120
STOP_S = 20


class ControlPlaneFailed(Exception):
    """A program is missing, ended, or did not become ready. The message holds the end of its log."""


def find(program: str) -> str:
    """Where a program is. Raises ControlPlaneFailed."""
    for path in (os.environ.get("CONTROL_PLANE"), str(BUILT), os.environ.get("PATH")):
        if path and (found := shutil.which(program, path=path)):
            return found
    raise ControlPlaneFailed(f"{program} is missing: run scripts/control-plane, or name its folder in CONTROL_PLANE")


class ControlPlane:
    """The processes. `folder` keeps their state and logs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._kubelets: Kubelets | None = None
        self.kubeconfig = folder / "kubeconfig"

    def start(self) -> None:
        """Start everything, each when what it needs is ready. Raises ControlPlaneFailed."""
        paths = {name: find(name) for name in PROGRAMS}
        etcd, peer, api = (free_port() for _ in range(3))
        accounts = self._folder / "accounts.key"
        accounts.write_bytes(
            ec.generate_private_key(ec.SECP256R1()).private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
            )
        )
        token = secrets.token_urlsafe(24)
        tokens = self._folder / "tokens.csv"
        tokens.write_text(f'{token},admin,admin,"system:masters"\n')
        self._run(
            paths["etcd"], f"--data-dir={self._folder / 'etcd'}", "--unsafe-no-fsync",
            f"--listen-client-urls=http://{LOOPBACK}:{etcd}", f"--advertise-client-urls=http://{LOOPBACK}:{etcd}",
            f"--listen-peer-urls=http://{LOOPBACK}:{peer}", f"--initial-advertise-peer-urls=http://{LOOPBACK}:{peer}",
            f"--initial-cluster=default=http://{LOOPBACK}:{peer}",
        )  # fmt: skip
        self._run(
            paths["kube-apiserver"], f"--etcd-servers=http://{LOOPBACK}:{etcd}", f"--bind-address={LOOPBACK}",
            f"--secure-port={api}", f"--advertise-address={LOOPBACK}", "--endpoint-reconciler-type=none",
            f"--cert-dir={self._folder / 'certificates'}", f"--token-auth-file={tokens}", "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={accounts}",
            f"--service-account-signing-key-file={accounts}",
        )  # fmt: skip
        authority = self._folder / "certificates" / "apiserver.crt"
        self._until("kube-apiserver", authority.exists)
        server = f"https://{LOOPBACK}:{api}"
        self._write_kubeconfig(server, authority, token)
        self._until("kube-apiserver", lambda: self._answers("/readyz"))
        at = (f"--kubeconfig={self.kubeconfig}", f"--bind-address={LOOPBACK}", "--leader-elect=false")
        self._run(
            paths["kube-controller-manager"], *at, f"--secure-port={free_port()}",
            f"--authentication-kubeconfig={self.kubeconfig}", f"--authorization-kubeconfig={self.kubeconfig}",
            f"--service-account-private-key-file={accounts}", f"--root-ca-file={authority}",
            "--horizontal-pod-autoscaler-sync-period=2s", "--node-monitor-grace-period=24h",
            "--kube-api-qps=200", "--kube-api-burst=300",
        )  # fmt: skip
        self._run(
            paths["kube-scheduler"], *at, f"--secure-port={free_port()}",
            f"--authentication-kubeconfig={self.kubeconfig}", f"--authorization-kubeconfig={self.kubeconfig}",
            "--kube-api-qps=200", "--kube-api-burst=300",
        )  # fmt: skip
        self._kubelets = Kubelets(server, authority, token)
        self._kubelets.start()
        self._until(
            "kube-controller-manager", lambda: self._answers("/api/v1/namespaces/default/serviceaccounts/default")
        )

    def stop(self) -> None:
        """End everything, the API server before what it stores in. Raises what the kubelets failed of."""
        try:
            if self._kubelets:
                self._kubelets.stop()
        finally:
            self._end()

    def _end(self) -> None:
        for process in reversed(self._running.values()):
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _write_kubeconfig(self, server: str, authority: Path, token: str) -> None:
        self.kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [
                        {"name": "here", "cluster": {"server": server, "certificate-authority": str(authority)}}
                    ],
                    "users": [{"name": "admin", "user": {"token": token}}],
                    "contexts": [{"name": "here", "context": {"cluster": "here", "user": "admin"}}],
                    "current-context": "here",
                }
            )
        )

    def _run(self, path: str, *arguments: str) -> None:
        name = Path(path).name
        with (self._folder / f"{name}.log").open("wb") as log:
            self._running[name] = subprocess.Popen([path, *arguments], stdout=log, stderr=log, cwd=self._folder)

    def _answers(self, path: str) -> bool:
        command = [KUBECTL, "--kubeconfig", self.kubeconfig, "get", "--raw", path]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def _until(self, name: str, ready: Callable[[], bool]) -> None:
        end = time.monotonic() + START_S
        while not ready():
            gone = [each for each, process in self._running.items() if process.poll() is not None]
            if gone or time.monotonic() > end:
                blamed = gone[0] if gone else name
                log = (self._folder / f"{blamed}.log").read_text(errors="replace")
                raise ControlPlaneFailed(f"{blamed} {'ended' if gone else 'is not ready'}:\n{log[-3000:]}")
            time.sleep(0.2)
