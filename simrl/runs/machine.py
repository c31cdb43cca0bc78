"""Say on what a run was made: the machine and the versions of what computed it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from simrl.core.files import write_atomic

MACHINE_FILE = "machine.json"
VERSIONED_PACKAGES = ("simrl", "torch", "numpy", "numba")


def machine() -> dict[str, str | int]:
    """Describe the machine: processor, usable cores, memory [GiB], system and, where there, GPU."""
    described: dict[str, str | int] = {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0,
        "system": f"{platform.system()} {platform.machine()}",
    }
    described["cores"] = described["cores"] or os.cpu_count() or 1
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        described["memory_gib"] = round(size / 2**30)
    if torch.cuda.is_available():
        described["gpu"] = torch.cuda.get_device_name(0)
    return described


def versions(packages: Iterable[str] = VERSIONED_PACKAGES) -> dict[str, str]:
    """Return the versions of Python and of those of the `packages` that are installed."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def save_machine(folder: Path | str) -> None:
    """Write `machine.json` into a run's folder, for its report."""
    content = {"machine": machine(), "versions": versions()}
    write_atomic(Path(folder) / MACHINE_FILE, json.dumps(content, indent=2) + "\n")


def load_machine(folder: Path | str) -> dict[str, Any] | None:
    """Read what `save_machine` wrote; None if it is not there or damaged."""
    try:
        content = json.loads((Path(folder) / MACHINE_FILE).read_text())
        return {name: dict(content[name]) for name in ("machine", "versions")}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _cpu_name() -> str:
    """Return the processor's model name, or its architecture where the system hides the name."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
