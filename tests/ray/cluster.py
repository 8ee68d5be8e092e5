"""A local Ray with the application, and what its clients see."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psutil
import yaml

ROOT = Path(__file__).parents[2]

START_S = 180.0

# On a busy machine, Ray's proxy starts in more than the 5 s after which Ray kills it.
PATIENCE = {
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "120",
    "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "60",
}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = START_S) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.2)


@dataclass
class Cluster:
    """A local Ray, whose application is deployed as operators do: from a file, with `serve`."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    dashboard: int = field(default_factory=free_port)
    gcs: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, cpus: int) -> None:
        self._run(
            *("ray", "start", "--head", f"--port={self.gcs}", f"--num-cpus={cpus}"),
            *("--include-dashboard=true", f"--dashboard-port={self.dashboard}"),
            *("--object-store-memory=100000000", "--disable-usage-stats"),
            f"--temp-dir={self.folder / 'ray'}",
        )

    def stop(self) -> None:
        """End the processes of this Ray only."""
        mine = [
            each
            for each in psutil.process_iter(["cmdline"])
            if str(self.folder) in " ".join(each.info["cmdline"] or ())
        ]
        found = {child for each in mine for child in (each, *each.children(recursive=True))}
        for each in found:
            if each.is_running():
                each.send_signal(signal.SIGKILL)

    def deploy(
        self,
        *,
        settings: Mapping[str, str],
        reload: int = 0,
        replicas: int = 2,
        cpus: int = 1,
    ) -> None:
        """Deploy the application, or change it, and wait until it is as the file states."""
        config = {
            "proxy_location": "HeadOnly",
            "http_options": {"host": "127.0.0.1", "port": self.port},
            "applications": [
                {
                    "name": "oodguard",
                    "import_path": "oodguard.ray_serve:app",
                    "route_prefix": "/",
                    "args": {"replicas": replicas, "cpus": cpus},
                    "runtime_env": {"env_vars": dict(settings)},
                    "deployments": [{"name": "guard", "user_config": {"reload": reload}}],
                }
            ],
        }
        file = self.folder / "serve.yaml"
        file.write_text(yaml.safe_dump(config))
        self._run("serve", "deploy", "--address", self._address, str(file))
        wait_until(self._is_deployed, "the application is running")

    def pids(self, deployment: str = "guard") -> list[int]:
        """Return the process ids of the replicas."""
        replicas = self._status()["deployments"][deployment].get("replicas", [])
        return [each["pid"] for each in replicas if each["state"] == "RUNNING"]

    @property
    def _address(self) -> str:
        return f"http://127.0.0.1:{self.dashboard}"

    def _is_deployed(self) -> bool:
        status = self._status()
        assert status["status"] not in {"DEPLOY_FAILED", "UNHEALTHY"}, status["message"]
        return bool(status["status"] == "RUNNING")

    def _status(self) -> dict[str, Any]:
        answer = httpx2.get(f"{self._address}/api/serve/applications/", timeout=30)
        status: dict[str, Any] = answer.json()["applications"]["oodguard"]
        return status

    def _run(self, *command: str) -> None:
        program = Path(sys.executable).parent / command[0]
        environment = {
            "PATH": f"{program.parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "PYTHONPATH": str(ROOT / "src"),
            **PATIENCE,
            **self.environment,
        }
        done = subprocess.run(
            [program, *command[1:]],
            capture_output=True,
            text=True,
            timeout=START_S,
            check=False,
            env=environment,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@dataclass
class Load:
    """Clients that send one request after the other until they are stopped."""

    url: str
    body: bytes
    headers: Mapping[str, str]
    clients: int = 4
    statuses: list[int] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)

    async def during(self, work: Callable[[], None]) -> None:
        """Run blocking work in a thread while the clients send requests."""
        stopped = asyncio.Event()
        async with httpx2.AsyncClient(base_url=self.url, timeout=60) as client:
            tasks = [asyncio.create_task(self._send(client, stopped)) for _ in range(self.clients)]
            try:
                await asyncio.to_thread(work)
            finally:
                stopped.set()
                await asyncio.gather(*tasks)

    async def _send(self, client: httpx2.AsyncClient, stopped: asyncio.Event) -> None:
        while not stopped.is_set():
            try:
                answer = await client.post("/predict", content=self.body, headers=self.headers)
            except httpx2.HTTPError as error:
                self.errors.append(repr(error))
                continue
            self.statuses.append(answer.status_code)
            if answer.status_code == 200:
                self.versions.append(json.loads(answer.content)["model"]["version"])
