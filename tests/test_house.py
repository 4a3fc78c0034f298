"""The house: layout, import directions, a light import, what the wheel holds."""

import ast
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
LINKED = ("agents", "workers", "tasks", "leaderboard")
CODE_FOLDERS = ("conductor_gym", *LINKED)
MAX_LINES = 400
HEAVY = ("torch", "numba", "litellm", "matplotlib", "sklearn", "scipy", "stable_baselines3")

# DESIGN 2: a module may import from its own layer and from those before it.
LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"__init__", "version", "types", "errors"}),
    frozenset({"spaces", "reward", "dynamics", "recordings", "workers", "tasks", "data_files"}),
    frozenset(
        {
            "config",
            "world",
            "fit",
            "engine",
            "engines",
            "env",
            "episode_env",
            "vector_env",
            "text_env",
            "workflow_env",
        }
    )
    | frozenset(
        {"infos", "kernels", "language", "live", "render", "reset_options", "sb3", "traces"}
    ),
    frozenset({"agents"}),
    frozenset({"leaderboard"}),
    frozenset({"cli", "__main__"}),
)


def product_files() -> list[Path]:
    """Every module once, under its real folder."""
    files: list[Path] = []
    for folder in CODE_FOLDERS:
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            inside = path.relative_to(REPOSITORY / folder)
            if folder == "conductor_gym" and inside.parts[0] in LINKED:
                continue
            files.append(path)
    return files


def part_of(path: Path) -> str:
    """The name under `conductor_gym` that a file belongs to: a module or a sub-package."""
    inside = path.relative_to(REPOSITORY)
    name = inside.parts[1] if inside.parts[0] == "conductor_gym" else inside.parts[0]
    return name.removesuffix(".py")


def layer(part: str) -> int:
    """Position of a part in the import order."""
    for position, parts in enumerate(LAYERS):
        if part in parts or (part.startswith("cli_") and "cli" in parts):
            return position
    pytest.fail(f"conductor_gym/{part} has no layer yet: give it one in {__file__}")


def imported_parts(path: Path) -> Iterator[str]:
    """Parts of this package that a file imports anywhere, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names]
        for name in names:
            pieces = name.split(".")
            if pieces[0] == "conductor_gym" and len(pieces) > 1 and pieces[1] != "__version__":
                yield pieces[1]


def python(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", LINKED)
def test_the_package_reaches_each_top_level_folder_through_a_relative_link(name: str):
    link = REPOSITORY / "conductor_gym" / name
    assert link.is_symlink()
    assert os.readlink(link) == f"../{name}"
    assert link.resolve() == REPOSITORY / name
    assert (REPOSITORY / name / "__init__.py").is_file()


@pytest.mark.parametrize("path", product_files(), ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_imports_point_only_at_earlier_layers(path: Path):
    part = part_of(path)
    for other in set(imported_parts(path)):
        assert layer(other) <= layer(part), f"{part} must not import conductor_gym.{other}"
        if {part, other} == {"workers", "tasks"}:
            pytest.fail(f"{part} must not import conductor_gym.{other}")


def test_imports_are_absolute_and_use_the_one_import_name():
    for path in product_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: relative import on line {node.lineno}"
                assert (node.module or "").split(".")[0] not in LINKED, f"{path}:{node.lineno}"
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    assert alias.name.split(".")[0] not in LINKED, f"{path}:{node.lineno}"


def test_importing_the_package_pulls_nothing_heavy():
    code = f"import conductor_gym, sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    result = python(code, REPOSITORY / "tests")
    assert result.stdout.strip() == "[]", result.stderr


def test_importing_the_package_takes_under_0_3_s_beyond_gymnasium():
    code = (
        "import time, gymnasium; t = time.perf_counter(); import conductor_gym; "
        "print(time.perf_counter() - t)"
    )
    fastest = min(float(python(code, REPOSITORY / "tests").stdout) for _ in range(3))
    assert fastest < 0.3


@pytest.mark.parametrize("name", LINKED)
def test_a_folder_refuses_its_bare_name_and_tells_the_repair(name: str):
    result = python(f"import {name}", REPOSITORY)
    assert result.returncode != 0
    assert f"ImportError: import conductor_gym.{name}, not {name}" in result.stderr


def test_files_stay_short():
    files = [*product_files(), *sorted((REPOSITORY / "tests").glob("*.py"))]
    lengths = {p: len(p.read_text(encoding="utf-8").splitlines()) for p in files}
    assert {str(p): n for p, n in lengths.items() if n > MAX_LINES} == {}


def test_no_code_draws_from_global_random_state():
    allowed = {"default_rng", "Generator", "SeedSequence", "PCG64", "Philox", "RandomState"}
    allowed |= {"Random", "SystemRandom"}
    allowed |= {
        "getstate",
        "setstate",
        "get_state",
        "set_state",
    }  # putting it back after a package that moves it
    for path in product_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr not in allowed:
                source = ast.unparse(node.value)
                drawn_globally = source in ("np.random", "numpy.random", "random")
                assert not drawn_globally, f"{path}:{node.lineno}: {ast.unparse(node)}"
            if isinstance(node, ast.ImportFrom) and node.module in ("random", "numpy.random"):
                assert {a.name for a in node.names} <= allowed, f"{path}:{node.lineno}"


def test_playing_leaves_global_random_state_alone():
    import random

    from conductor_gym.env import ConductorEnv

    env, legacy = ConductorEnv(), cast(Any, np.random)
    before = random.getstate(), legacy.get_state()[1].tolist()
    env.reset(seed=0)
    env.reset()
    for action in ((0, 0, 0), (1, 2, 1), (2, 3, 2), (0, 6, 0), (0, 7, 0)):
        env.step(np.array(action))
    assert (random.getstate(), legacy.get_state()[1].tolist()) == before


def test_no_assert_guards_anything_in_the_product():
    for path in product_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not isinstance(node, ast.Assert), f"{path}:{node.lineno}: python -O drops it"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the tree, links kept as links."""
    setuptools = pytest.importorskip("setuptools", reason="the wheel is built with setuptools")
    if int(setuptools.__version__.split(".")[0]) < 80:
        pytest.skip(f"setuptools {setuptools.__version__} is older than the build needs (80)")
    copy = tmp_path_factory.mktemp("wheel") / "tree"
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        if (REPOSITORY / name).is_file():
            shutil.copy(REPOSITORY / name, copy / name)
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in CODE_FOLDERS:
        shutil.copytree(REPOSITORY / folder, copy / folder, symlinks=True, ignore=ignore)
    result = python("from setuptools import build_meta as b; b.build_wheel('dist')", copy)
    assert result.returncode == 0, result.stderr
    (built,) = (copy / "dist").glob("*.whl")
    return built


def test_the_wheel_holds_all_code_and_data_under_one_import_name(wheel: Path):
    held = set(zipfile.ZipFile(wheel).namelist())
    expected: set[str] = set()
    for folder in CODE_FOLDERS:
        prefix = "" if folder == "conductor_gym" else "conductor_gym/"
        for ending in (
            "*.py",
            "*.toml",
            "*.json",
            "*.yaml",
            "*.txt",
            "*.csv",
            "*.html",
            "py.typed",
        ):
            for path in (REPOSITORY / folder).rglob(ending):
                expected.add(prefix + path.relative_to(REPOSITORY).as_posix())
    assert "conductor_gym/workers/pools/paper.toml" in expected
    assert "conductor_gym/dynamics/normal_quantiles.txt" in expected
    assert "conductor_gym/leaderboard/published_paper.csv" in expected
    assert "conductor_gym/leaderboard/page.html" in expected
    assert expected - held == set()
    tops = {name.split("/")[0] for name in held}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"conductor_gym"}


def test_the_wheel_works_away_from_the_checkout(wheel: Path, tmp_path: Path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "import conductor_gym, conductor_gym.workers.pool as w, conductor_gym.tasks.suite as t;"
        "print(conductor_gym.__file__); print(len(w.load_pool('paper').workers), "
        "len(t.load_split('paper-v1', 'dev').uids))"
    )
    result = python(code, tmp_path, PYTHONPATH=str(tmp_path / "site"))
    where, counts = result.stdout.strip().splitlines()
    assert Path(where).is_relative_to(tmp_path)
    assert counts == "7 2000"
