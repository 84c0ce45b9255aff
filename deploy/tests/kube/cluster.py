"""A rendered release, run as real containers: what kubelet, DNS and volumes do, as far as the chart's pods ask for it.

`podman kube play` is not used: it knows no gRPC probes, sleeps no preStop, puts no StatefulSet's claims on disk, and
runs HTTP probes by a shell and curl inside the container, which these images do not need. This runs the same objects
with the same users, read-only file systems, mounts, names and probes; it does not enforce resources and network
policies, which the chart's own tests check.
"""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine import Container, Engine
from probes import until

CREATE_S = 120
RESTARTS_S = (1, 2, 4, 8)
"""How long a failed init container waits before it is run again."""
READY_TRIES = 60
"""How often a pod is asked whether it is ready: a rollout gives it ten minutes."""


class ClusterFailed(Exception):
    """A pod did not become ready, or ended. The message holds its log."""


@dataclass
class Pod:
    """One running pod."""

    name: str
    component: str
    spec: Mapping[str, Any]
    address: str = ""
    containers: list[str] = field(default_factory=list)


class Cluster:
    """Runs objects in one namespace. `folder` keeps volumes; it must be empty."""

    def __init__(self, engine: Engine, folder: Path, namespace: str, hosts: Mapping[str, str]) -> None:
        self._engine = engine
        self._folder = folder
        self._namespace = namespace
        self._hosts = dict(hosts)
        self._data: dict[tuple[str, str], dict[str, bytes]] = {}
        self._services: list[Mapping[str, Any]] = []
        self._made: list[str] = []
        self.pods: dict[str, Pod] = {}

    async def hold(self, image: str) -> None:
        """Keep the network up until the end."""
        self._made.append(await self._engine.hold(image))

    def put(self, kind: str, name: str, files: Mapping[str, bytes]) -> None:
        """Make a Secret or a ConfigMap, or change it: running pods see the change, as with the kubelet."""
        self._data[kind, name] = dict(files)
        folder = self._folder / "data" / f"{kind.lower()}-{name}"
        folder.mkdir(parents=True, exist_ok=True)
        for key, content in files.items():
            scratch = folder / f".{key}"
            scratch.write_bytes(content)
            scratch.chmod(0o444)
            scratch.replace(folder / key)

    async def apply(self, objects: tuple[Mapping[str, Any], ...]) -> None:
        """Make everything of the release but its hooks, and wait until each pod is ready."""
        for each in objects:
            if each["kind"] in {"Secret", "ConfigMap"}:
                plain = {key: value.encode() for key, value in (each.get("stringData") or {}).items()}
                coded = {key: base64.b64decode(value) for key, value in each.get("data", {}).items()}
                text = {key: value.encode() for key, value in each.get("data", {}).items()}
                self.put(each["kind"], each["metadata"]["name"], plain | (coded if each["kind"] == "Secret" else text))
        self._services = [each for each in objects if each["kind"] == "Service"]
        made = [
            self.start(each, ordinal)
            for each in objects
            if each["kind"] in {"Deployment", "StatefulSet"}
            for ordinal in range(each["spec"].get("replicas", 1))
        ]
        # A failed pod tells of itself at once, whatever the others wait for.
        async with asyncio.timeout(CREATE_S * 3):
            await asyncio.gather(*made)

    async def start(self, workload: Mapping[str, Any], ordinal: int) -> Pod:
        """Start one pod of a workload: init containers in turn, then its container, then its probes."""
        name = f"{workload['metadata']['name']}-{ordinal}"
        template = workload["spec"]["template"]
        claims = [each["metadata"]["name"] for each in workload["spec"].get("volumeClaimTemplates", [])]
        pod = Pod(name, workload["metadata"]["labels"]["app.kubernetes.io/component"], template["spec"])
        self.pods[name] = pod
        volumes = self._volumes(name, template["spec"], claims)
        for each in template["spec"].get("initContainers", []):
            await self._to_its_good_end(self._container(pod, each, volumes, ()))
        container = template["spec"]["containers"][0]
        made = self._container(pod, container, volumes, self._names(template["metadata"]["labels"], name))
        pod.address = await self._engine.start(made)
        self._made.append(made.name)
        pod.containers.append(made.name)
        await self._ready(pod, container)
        return pod

    async def run_hook(self, pod: Mapping[str, Any]) -> str:
        """Run a pod to its end, as `helm test` does. Returns its log. Raises ClusterFailed where it ends badly."""
        name = pod["metadata"]["name"]
        made = Pod(name, "test", pod["spec"])
        return await self._to_its_end(
            self._container(made, pod["spec"]["containers"][0], self._volumes(name, pod["spec"], []), ())
        )

    async def stop(self, name: str) -> None:
        """End a pod as Kubernetes does: preStop, SIGTERM, the grace, SIGKILL."""
        pod = self.pods.pop(name)
        hook = pod.spec["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        await asyncio.sleep(hook)
        for each in pod.containers:
            await self._engine.stop(each, int(pod.spec["terminationGracePeriodSeconds"]) - hook)

    async def down(self) -> None:
        """Remove everything."""
        await self._engine.remove_all(self._made)
        shutil.rmtree(self._folder, ignore_errors=True)

    async def logs(self) -> dict[str, str]:
        """What every container has said."""
        return {name: await self._engine.logs(name) for name in self._made}

    async def _to_its_good_end(self, container: Container) -> None:
        """Run an init container, again after a while where it fails, as a kubelet does: what it needs may be late."""
        for seconds in RESTARTS_S:
            try:
                await self._to_its_end(container)
            except ClusterFailed:
                self._made.remove(container.name)
                await self._engine("rm", "--force", "--volumes", container.name)
                await asyncio.sleep(seconds)
            else:
                return
        await self._to_its_end(container)

    async def _to_its_end(self, container: Container) -> str:
        self._made.append(container.name)
        async with asyncio.timeout(CREATE_S):
            status, log = await self._engine.run(container)
        if status != 0:
            raise ClusterFailed(f"{container.name} ended with status {status}:\n{log[-4000:]}")
        return log

    async def _ready(self, pod: Pod, container: Mapping[str, Any]) -> None:
        ports = {each["name"]: each["containerPort"] for each in container.get("ports", [])}
        name = pod.containers[-1]
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            # A pod that is not ready is waited for, by its rollout; the other two end it.
            tries = READY_TRIES if kind == "readinessProbe" else None
            if kind in container and not await until(
                pod.address, container[kind], ports, lambda: self._engine.running(name), tries
            ):
                log = await self._engine.logs(name)
                raise ClusterFailed(f"{pod.name}: {kind} did not hold\n{log[-4000:]}")

    def _container(
        self, pod: Pod, container: Mapping[str, Any], volumes: Mapping[str, Path], aliases: tuple[str, ...]
    ) -> Container:
        security = pod.spec["securityContext"]
        mounts = []
        for each in container.get("volumeMounts", []):
            source = volumes[each["name"]] / each.get("subPath", "")
            mounts.append(f"{source}:{each['mountPath']}:{'ro' if each.get('readOnly') else 'rw'}")
        return Container(
            name=f"{pod.name}-{container['name']}",
            image=container["image"],
            user=f"{security['runAsUser']}:{security.get('runAsGroup', security['runAsUser'])}",
            arguments=tuple(container.get("args", [])),
            environment={each["name"]: self._value(each) for each in container.get("env", [])},
            mounts=tuple(mounts),
            aliases=aliases,
            hosts=self._hosts,
        )

    def _value(self, variable: Mapping[str, Any]) -> str:
        if "valueFrom" not in variable:
            return str(variable["value"])
        source = variable["valueFrom"]["secretKeyRef"]
        return self._data["Secret", source["name"]][source["key"]].decode()

    def _names(self, labels: Mapping[str, str], pod: str) -> tuple[str, ...]:
        """The names by which services find this pod: those of the Services that select it."""
        found = [pod]
        for service in self._services:
            if service["spec"]["selector"].items() <= labels.items():
                name = service["metadata"]["name"]
                short = f"{name}.{self._namespace}"
                found += [name, short, f"{short}.svc", f"{short}.svc.cluster.local"]
        return tuple(found)

    def _volumes(self, pod: str, spec: Mapping[str, Any], claims: list[str]) -> dict[str, Path]:
        group = int(spec["securityContext"].get("fsGroup", 0))
        found = {}
        for volume in spec.get("volumes", []):
            if "secret" in volume:
                found[volume["name"]] = self._folder / "data" / f"secret-{volume['secret']['secretName']}"
            elif "configMap" in volume:
                found[volume["name"]] = self._folder / "data" / f"configmap-{volume['configMap']['name']}"
            else:
                found[volume["name"]] = self._writable(pod, volume["name"], group)
        return found | {claim: self._writable(pod, claim, group) for claim in claims}

    def _writable(self, pod: str, name: str, group: int) -> Path:
        folder = self._folder / "volumes" / pod / name
        folder.mkdir(parents=True, exist_ok=True)
        os.chown(folder, -1, group)
        folder.chmod(0o2770)
        return folder
