"""Suites with text and pools for them, small enough for a test."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w

from conductor_gym.tasks.suite import load_suite_card
from conductor_gym.workers.pool import load_pool


def pool_of(folder: Path, domains: Sequence[str]) -> str:
    """Path of a simulated pool of two workers that knows these domains."""
    whole: dict[str, Any] = load_pool("paper").model_dump(exclude_none=True)
    names = ["gpt-5", "gemma-3-27b-it"]
    whole["name"] = "two"
    whole["workers"] = [w for w in whole["workers"] if w["name"] in names]
    whole["output_tokens"] = [t for t in whole["output_tokens"] if set(names) <= set(t["values"])][
        :1
    ]
    for table in (whole["accuracy"], *whole["output_tokens"]):
        table["values"] = {
            name: dict.fromkeys(domains, next(iter(table["values"][name].values())))
            for name in names
        }
    whole["model"]["r2_delta"] = whole["model"]["r2_eta"] = {"value": 0.0, "source": "fitted"}
    for table in (whole["format_failure"], whole["confidence_bias"]):
        table["exceptions"] = {}
    whole["domains"] = dict.fromkeys(domains, whole["domains"]["MATH500"])
    path = folder / "two.toml"
    path.write_text(tomli_w.dumps(whole), encoding="utf-8")
    return str(path)


def row(i: int, **changes: Any) -> dict[str, Any]:
    """A valid row of a tasks file."""
    valid = {
        "uid": f"sum-{i}",
        "domain": "math" if i % 2 else "law",
        "level": i % 3,
        "prompt": f"What is {i} + {i}?",
        "reference": str(2 * i),
        "verifier": "number",
    }
    return {k: v for k, v in {**valid, **changes}.items() if v is not None}


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    """Write a tasks file."""
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    return str(path)


def small_core(
    folder: Path, names: Sequence[str] = (), name: str = "small-core", **card: Any
) -> str:
    """Path of `core-v1` with few tasks a dataset, of these datasets or of all."""
    whole: dict[str, Any] = load_suite_card("core-v1").model_dump(exclude_none=True)
    made = whole["text"]["generator"]
    made["tasks"] = {"train": 4, "dev": 2, "test": 3}
    made["content"] = ""
    made.pop("families", None)
    made.pop("multi_part", None)
    made["datasets"] = [d for d in made["datasets"] if not names or d["name"] in names]
    made |= card
    whole["name"] = name
    path = folder / f"{name}.toml"
    path.write_text(tomli_w.dumps(whole), encoding="utf-8")
    return str(path)
