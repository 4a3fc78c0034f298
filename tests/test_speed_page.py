"""The benchmarks run, and their page says what was met, missed and not run."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import speed_page

pytest.importorskip("reasoning_gym", reason="pip install 'conductor-gym[tasks]'")


def run_of(kind: str, name: str, best: float, **more: Any) -> dict[str, Any]:
    return {"extra_info": {"kind": kind, "name": name, **more}, "stats": {"min": best}}


def report(*runs: dict[str, Any]) -> dict[str, Any]:
    return {
        "benchmarks": list(runs),
        "machine_info": {"cpu": {"brand_raw": "a processor"}},
        "commit_info": {"id": "0123456789"},
        "datetime": "2026-11-26T12:00:00",
    }


def test_the_page_tells_met_missed_and_not_run(tmp_path: Path) -> None:
    text = speed_page.page(
        report(
            run_of("steps", "ours, gym.make", 0.5, steps=1000),
            run_of("steps", "CartPole, gym.make", 0.4, steps=1000),
            run_of("steps", "ours, native, n = 1024", 1.0, steps=1000),
            run_of("steps", "plain loop, n = 1024", 0.5, steps=1000),
            run_of("memory", "1024", 1.0, bytes=5000.0),
            run_of("first step", "compiled", 1.4),
        ),
        tmp_path,
    )
    assert "| ours, gym.make : CartPole, gym.make | 0.4 | 0.80 | met |" in text
    assert "| ours, native, n = 1024 : plain loop, n = 1024 | 0.6 | 0.50 | missed |" in text
    assert "| ours, native, n = 1024 : GEM, sync, n = 64 | 15 | not run | |" in text
    assert "| bytes an environment, n = 1024 | at most 4,096 | 5,000 | missed |" in text
    assert "first step, compiled | at most 1.5 | 1.40 | met |" in text
    assert "| ours, gym.make | 2,000 | 500,000 |" in text


def test_curves_are_drawn_and_told(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    runs = [run_of("tasks", f"{n}", 1e-3, size=n, steps=1000) for n in (100, 10_000)]
    text = speed_page.page(report(*runs), tmp_path)
    assert "| tasks in the suite | 100 | 10,000 |" in text
    assert "| ns a step | 1000 | 1000 |" in text
    assert (tmp_path / "speed-tasks.png").stat().st_size > 3000


@pytest.mark.parametrize("subject", ["ours, gym.make", "plain loop, n = 64"])
def test_a_benchmark_runs(repository: Path, subject: str) -> None:
    words = ["-o", "python_files=bench_*.py", "-W", "ignore", "-p", "no:xdist"]
    test = f"tests/benchmarks/bench_steps.py::test_steps[{subject}]"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, "--benchmark-disable", test],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
