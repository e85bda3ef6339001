"""Facts of the machine that the numbers were measured on."""

import os
import platform
import subprocess
import time
from pathlib import Path

import nginx


def facts(setting, peers) -> dict:
    versions = {peer.name: peer.version() for peer in peers}
    if "http" in setting.far_ports:
        versions["nginx"] = nginx.version()
    return {
        "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "revision": _revision(),
        "processor": _field("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "memory": _field("/proc/meminfo", "MemTotal"),
        "kernel": f"{platform.system()} {platform.release()}",
        "load_average_at_start": round(os.getloadavg()[0], 2),
        "open_files_limit": setting.descriptor_limit,
        "versions": {name: version for name, version in versions.items() if version},
    }


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "?"


def _revision() -> str:
    root = Path(__file__).resolve().parents[2]
    words = ["git", "-c", f"safe.directory={root}", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip() or "?"
    except FileNotFoundError:
        return "?"
