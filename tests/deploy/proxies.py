"""Write the documented configurations of proxies with the addresses and folders of a test."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.rules import DOCKER

PAGE = DOCKER.parent / "docs" / "reverse-proxy.md"


@dataclass(frozen=True, kw_only=True, slots=True)
class Addresses:
    """The port of the proxy, and the addresses of the guards, which a DNS server knows too."""

    port: int
    guards: Sequence[str]
    guard_port: int
    dns_port: int


def write_certificate(folder: Path) -> None:
    """Write a certificate of 127.0.0.1 and its key."""
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", f"{folder}/proxy_certificate_key", "-out", f"{folder}/proxy_certificate"]
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    subprocess.run([*request, "-nodes", *name, *files], check=True, capture_output=True)


def nginx(folder: Path, addresses: Addresses) -> list[str]:
    """Write docker/proxy/nginx.conf; return the command that runs it."""
    text = _replace_all(
        (DOCKER / "proxy" / "nginx.conf").read_text(encoding="utf-8"),
        {
            "/tmp/": f"{folder}/",  # noqa: S108 - the shipped text
            "listen 8443 ssl": f"listen 127.0.0.1:{addresses.port} ssl",
            "resolver 127.0.0.11 ": f"resolver 127.0.0.1:{addresses.dns_port} ",
            "guard:8000": f"guard:{addresses.guard_port}",
            "/run/secrets/": f"{folder}/",
            "/dev/stderr": f"{folder}/error.log",
            "/dev/stdout": f"{folder}/access.log",
        },
    )
    (folder / "nginx.conf").write_text(text, encoding="utf-8")
    options = ["-c", f"{folder}/nginx.conf", "-p", str(folder), "-g", "daemon off; user root;"]
    return [_program("nginx"), *options]


def caddy(folder: Path, addresses: Addresses) -> list[str]:
    """Write the Caddyfile of the page; return the command that runs it."""
    files = f"{folder}/proxy_certificate {folder}/proxy_certificate_key"
    resolver = f"resolvers 127.0.0.1:{addresses.dns_port}"
    text = _replace_all(
        _block("caddyfile"),
        {
            "guard.example {": f"https://127.0.0.1:{addresses.port} {{\n\ttls {files}",
            "dynamic a guard 8000 {": f"dynamic a guard {addresses.guard_port} {{\n{resolver}",
        },
    )
    options = "{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n}\n"
    (folder / "Caddyfile").write_text(options + text, encoding="utf-8")
    return [_program("caddy"), "run", "--config", f"{folder}/Caddyfile", "--adapter", "caddyfile"]


def traefik(folder: Path, addresses: Addresses) -> list[str]:
    """Write the labels of the page as a file; return the command that runs it."""
    labels: Mapping[str, str] = yaml.safe_load(_block("yaml"))["labels"]
    configuration: dict[str, Any] = {}
    for label, value in labels.items():
        _, *path, last = label.split(".")
        place = configuration
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value.split(",") if last in {"entrypoints", "middlewares"} else value
    # Traefik adds this to labels by itself.
    http = configuration["http"]
    http["routers"]["guard"].update(service="guard", tls={})
    balancer = http["services"]["guard"]["loadbalancer"]
    del balancer["server"], configuration["enable"]
    urls = [f"http://{address}:{addresses.guard_port}" for address in addresses.guards]
    balancer["servers"] = [{"url": url} for url in urls]
    names = {"certFile": "proxy_certificate", "keyFile": "proxy_certificate_key"}
    certificate = {key: f"{folder}/{name}" for key, name in names.items()}
    configuration["tls"] = {"stores": {"default": {"defaultCertificate": certificate}}}
    (folder / "traefik.yml").write_text(json.dumps(configuration), encoding="utf-8")
    return [
        _program("traefik"),
        f"--entrypoints.websecure.address=127.0.0.1:{addresses.port}",
        f"--providers.file.filename={folder}/traefik.yml",
        *re.findall(r"^    (--\S+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE),
    ]


PROXIES: Mapping[str, Callable[[Path, Addresses], list[str]]] = {
    "nginx": nginx,
    "caddy": caddy,
    "traefik": traefik,
}


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(f"/usr/sbin/{name}")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def _block(language: str) -> str:
    """Return the block of the page in a language."""
    found = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (block,) = found
    return str(block)


def _replace_all(text: str, replacements: Mapping[str, str]) -> str:
    for shipped, local in replacements.items():
        assert shipped in text
        text = text.replace(shipped, local)
    return text
