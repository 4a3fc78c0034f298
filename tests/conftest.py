"""Settings and small builders that several test files share."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parents[1]
NEXT_TO_CHECKOUT = REPOSITORY.parent / "shared" / "recorded"

if not os.environ.get("CONDUCTOR_GYM_RECORDED") and NEXT_TO_CHECKOUT.is_dir():
    os.environ["CONDUCTOR_GYM_RECORDED"] = str(NEXT_TO_CHECKOUT)

# The same examples on every run: a red build is about the code.
settings.register_profile("repository", deadline=None, derandomize=True, database=None)
settings.load_profile("repository")


@pytest.fixture(scope="session")
def repository() -> Path:
    """Top of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def recorded_folder() -> Path:
    """Folder of recorded tables, or a skip that says how to get one."""
    folder = os.environ.get("CONDUCTOR_GYM_RECORDED")
    if not folder or not Path(folder).is_dir():
        pytest.skip(
            "no recorded tables: set CONDUCTOR_GYM_RECORDED to their folder "
            f"(also looked in {NEXT_TO_CHECKOUT})"
        )
    return Path(folder)


@pytest.fixture
def edited(tmp_path: Path) -> Callable[..., str]:
    """``edited("workers/pools/paper.toml", (pattern, replacement), ...)``: path of a changed copy.

    Each pattern is a regular expression; its first match is replaced, and it must match.
    """

    def edit(file: str, *changes: tuple[str, str]) -> str:
        text = (REPOSITORY / file).read_text(encoding="utf-8")
        for pattern, replacement in changes:
            text, found = re.subn(pattern, lambda _, r=replacement: r, text, count=1)
            if not found:
                pytest.fail(f"{file} holds no {pattern!r} to edit")
        path = tmp_path / f"{Path(file).stem}-{len(list(tmp_path.iterdir()))}.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return edit


@pytest.fixture(scope="session")
def one_domain_suite(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], str]:
    """``one_domain_suite("MMLU", 1000)``: path of a statistical suite with that many queries."""
    folder = tmp_path_factory.mktemp("suites")

    def write(domain: str, size: int) -> str:
        path = folder / f"{domain}-{size}.toml"
        path.write_text(
            f'name = "only-{domain}"\nversion = 1\ntitle = "one domain"\n'
            f"[statistical]\nsizes = {{ train = {size} }}\nprompt_tokens_sigma = 0.4\n"
            f'[[statistical.domains]]\nname = "{domain}"\nprompt_tokens = 130\n'
            'source = "assumed"\n',
            encoding="utf-8",
        )
        return str(path)

    return write


@pytest.fixture(scope="session")
def run_batch() -> Callable[..., Any]:
    """``run_batch(config, indices, actions, stream=0)``: an `Engine` after those steps.

    Every slot plays its own index of the stream and the same sequence of actions.
    """
    from conductor_gym.engine import Engine

    def run(config: Any, indices: Any, actions: Sequence[Sequence[int]], stream: int = 0) -> Engine:
        n = len(indices)
        engine = Engine(config, n)
        observation = engine.new_observation()
        slots = np.arange(n, dtype=np.int64)
        engine.start(slots, np.full(n, stream), np.asarray(indices, np.int64), observation)
        for action in actions:
            engine.step(np.tile(np.array(action, np.int64), (n, 1)), observation)
        return engine

    return run


@pytest.fixture(scope="session")
def mix(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """``mix(assumptions, domains, size, split)``: benchmarks of `paper-v1`, all or some of them.

    An `EnvConfig` with cost weight 0, 10 USD and 16 steps; the test split is 5 * size.
    """
    import tomli_w

    from conductor_gym.config import EnvConfig
    from conductor_gym.tasks.suite import load_suite_card

    folder = tmp_path_factory.mktemp("mixes")
    whole = load_suite_card("paper-v1").model_dump(exclude_none=True)

    def make(
        assumptions: Any, domains: Sequence[str] = (), size: int = 14_000, split: str = "train"
    ) -> EnvConfig:
        name = f"mix-{'-'.join(domains)}"
        cards = whole["statistical"]["domains"]
        chosen = [card for card in cards if not domains or card["name"] in domains]
        queries = {"sizes": {"train": size, "test": 5 * size}, "domains": chosen}
        path = folder / f"{name}-{size}.toml"
        card = whole | {"name": name, "statistical": whole["statistical"] | queries}
        path.write_text(tomli_w.dumps(card), encoding="utf-8")
        return EnvConfig(
            pool="paper",
            suite=str(path),
            split=split,
            cost_weight=0.0,
            budget_usd=10.0,
            max_steps=16,
            assumptions=assumptions,
        )

    return make
