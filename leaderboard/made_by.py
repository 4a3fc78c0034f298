"""What a result was made by: versions of packages, the commit of this code."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

DISTRIBUTIONS = (
    "conductor-gym",
    "gymnasium",
    "numpy",
    "numba",
    "torch",
    "stable-baselines3",
    "transformers",
    "peft",
    "vllm",
)


def versions_here() -> dict[str, str]:
    """Versions of Python and of the packages that a result may depend on."""
    found = {"python": sys.version.split()[0]}
    for name in DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def commit_here() -> str | None:
    """Commit of the checkout this code runs from, with ``+`` where it was changed."""
    here = Path(__file__).resolve().parent
    try:
        out = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return out.stdout.strip() or None
