"""`core-v1` is the same everywhere, leaks nothing between splits and survives a broken cache."""

import importlib.metadata
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import gymnasium as gym
import numpy as np
import pytest
from text_suites import pool_of, small_core

from conductor_gym.errors import DataFileError, MissingExtraError
from conductor_gym.tasks import generated
from conductor_gym.tasks.generate import LEVELS, make_rows, normalized, place
from conductor_gym.tasks.generated import Generated, cache_path, generated_tasks
from conductor_gym.tasks.random_state import random_state_kept
from conductor_gym.tasks.suite import load_split, load_suite_card
from conductor_gym.tasks.text_card import GeneratorCard
from conductor_gym.tasks.verifiers import grade

pytest.importorskip("reasoning_gym", reason="pip install 'conductor-gym[tasks]'")

SPLITS = ("train", "dev", "test")
FEW = ("gcd", "maze")


def generator(path: str) -> GeneratorCard:
    text = load_suite_card(path).text
    assert text is not None
    assert text.generator is not None
    return text.generator


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CONDUCTOR_GYM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def whole_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("whole")


@pytest.fixture(scope="module")
def whole(whole_cache: Path) -> Iterator[dict[str, Generated]]:
    """All of `core-v1`, made afresh; the content hash of its card is checked on the way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONDUCTOR_GYM_CACHE", str(whole_cache))
        card = generator("core-v1")
        assert card.content
        yield {split: generated_tasks("core-v1", card, split) for split in SPLITS}


def test_it_has_the_size_domains_and_levels_that_it_states(whole: dict[str, Generated]):
    card = generator("core-v1")
    assert len(card.datasets) >= 24
    assert len(card.domains) == 12
    assert [len(whole[split].tasks) for split in SPLITS] == [6120, 1530, 3060]
    for split in SPLITS:
        found = Counter(task.domain for task in whole[split].tasks)
        assert found == {domain: by_split[split] for domain, by_split in card.counts().items()}
    for split, count in card.tasks.items():
        tasks = whole[split].tasks
        for dataset in card.datasets:
            for level in range(1, len(LEVELS) + 1):
                found = [t for t in tasks if dataset.name in t.uid.split("/") and t.level == level]
                assert len(found) == count
                assert {t.domain for t in found} == {dataset.domain}
        assert max(len(t.prompt) for t in tasks if not t.parts) <= 4000


def test_parts_are_tasks_of_the_same_split_each_of_another_domain(whole: dict[str, Generated]):
    card = generator("core-v1").multi_part
    assert card is not None
    for split in SPLITS:
        plain = {task.uid: task for task in whole[split].tasks if not task.parts}
        for task in whole[split].tasks:
            if task.parts:
                expected = getattr(card, LEVELS[task.level - 1])
                assert len(task.parts) == expected.parts
                assert len({part.domain for part in task.parts}) == len(task.parts)
                for uid, part in zip(task.metadata["tasks"], task.parts, strict=True):
                    assert part.prompt == plain[uid].prompt
                    assert part.prompt in task.prompt
                    assert LEVELS[part.level - 1] == expected.level


def test_references_are_right_and_those_of_other_tasks_are_wrong(whole: dict[str, Generated]):
    for domain in generator("core-v1").domains:
        tasks = [task for task in whole["dev"].tasks if task.domain == domain][::9]
        for task, other in zip(tasks, (*tasks[1:], tasks[0]), strict=True):
            assert grade(task, task.reference) == 1.0, task.uid
            if task.reference != other.reference and task.verifier == other.verifier == "parts":
                assert grade(task, other.reference) == 0.0, task.uid


def test_documents_are_as_long_as_their_level_says(whole: dict[str, Generated]):
    (card,) = [f for f in generator("core-v1").families if f.name == "long-context"]
    for task in whole["dev"].tasks:
        if task.documents is not None:
            bounds = getattr(card, LEVELS[task.level - 1])
            assert bounds["min_tokens"] * 0.9 <= task.documents.tokens <= bounds["max_tokens"] * 1.1
            assert 1 <= len(task.documents.evidence) <= 8
            assert max(task.documents.evidence) <= task.documents.tokens


def test_no_prompt_and_no_uid_is_in_two_splits_or_twice_in_one(whole: dict[str, Generated]):
    every = [task for split in SPLITS for task in whole[split].tasks]
    assert len({" ".join(task.prompt.lower().split()) for task in every}) == len(every)
    assert len({task.uid for task in every}) == len(every)


PARAMETERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "chain_sum": lambda e: e["metadata"]["expression"].split()[0],
    "products": lambda e: e["metadata"]["expression"].split()[0],
    "gcd": lambda e: e["metadata"]["numbers"][0],
    "leg_counting": lambda e: e["metadata"]["total_legs"],
    "simple_equations": lambda e: e["answer"],
    "complex_arithmetic": lambda e: e["metadata"]["num1"],
    "cryptarithm": lambda e: e["metadata"]["sum_number"],
    "base_conversion": lambda e: e["metadata"]["decimal_value"],
    "caesar_cipher": lambda e: e["metadata"]["clear_text"],
    "string_manipulation": lambda e: e["metadata"]["selected_rules"],
    "circuit_logic": lambda e: e["metadata"]["expression"],
    "simple_geometry": lambda e: e["metadata"]["missing_angle_rounded"],
    "advanced_geometry": lambda e: e["metadata"]["A"],
    "color_cube_rotation": lambda e: e["metadata"]["initial_state"],
    "number_sequence": lambda e: e["metadata"]["rule"],
    "arc_1d": lambda e: e["metadata"]["task_name"],
    "modulo_grid": lambda e: [e["metadata"][k] for k in ("divisor", "target", "operation")],
    "mini_sudoku": lambda e: e["metadata"]["solution"],
    "futoshiki": lambda e: e["metadata"]["solution"],
}
"""Of the datasets whose splits differ in what tasks are built from: that parameter."""


def test_the_card_and_this_file_agree_on_what_is_disjoint_by_construction():
    parted = {dataset.name for dataset in generator("core-v1").datasets if dataset.split_by}
    assert parted == set(PARAMETERS)


@pytest.mark.parametrize("name", sorted(set(PARAMETERS) - {"futoshiki", "advanced_geometry"}))
def test_no_value_of_the_parameter_is_in_two_splits(whole: dict[str, Generated], name: str):
    with random_state_kept():
        from reasoning_gym.factory import (  # pyright: ignore[reportMissingTypeStubs]
            create_dataset,  # pyright: ignore[reportUnknownVariableType]
        )
    (dataset,) = [d for d in generator("core-v1").datasets if d.name == name]
    made = {
        level: create_dataset(
            name, seed=int(place(f"seed of {name}/{level}") * 2**31), **getattr(dataset, level)
        )
        for level in LEVELS
    }
    values: dict[str, set[str]] = {}
    for split in SPLITS:
        for task in whole[split].tasks:
            if name in task.uid.split("/"):
                _, _, level, index = task.uid.split("/")
                entry = cast(Any, made[level])[int(index)]
                assert entry["question"].strip() == task.prompt
                values.setdefault(split, set()).add(str(PARAMETERS[name](entry)))
    assert not values["train"] & values["test"]
    assert not values["train"] & values["dev"]
    assert not values["dev"] & values["test"]


def test_a_dataset_is_the_same_alone_in_another_order_and_in_another_process(
    tmp_path: Path, cache: Path
):
    few = generator(small_core(tmp_path, FEW))
    backwards = few.model_copy(update={"datasets": few.datasets[::-1]})
    alone = few.model_copy(update={"datasets": few.datasets[:1]})
    rows = [sorted(t.uid + t.prompt for t in generated_tasks("a", card, "test").tasks)
            for card in (few, backwards)]  # fmt: skip
    assert rows[0] == rows[1]
    with random_state_kept():
        here = make_rows(alone.orders()[0])
    assert {r["uid"] + r["prompt"] for r in here if r["split"] == "test"} <= set(rows[0])
    assert all(normalized(r["prompt"]) for r in here)


def test_making_loading_and_grading_leave_global_random_state_alone(tmp_path: Path, cache: Path):
    suite = small_core(tmp_path, FEW)
    code = (
        "import random, sys, numpy as np\n"
        "from conductor_gym.tasks.suite import load_split\n"
        "from conductor_gym.tasks.verifiers import grade\n"
        "before = random.getstate(), np.random.get_state()[1].tolist()\n"
        "for split in ('train', 'test'):\n"
        "    tasks = load_split(sys.argv[1], split).tasks\n"
        "    print([grade(t, t.reference) for t in tasks] == [1.0] * len(tasks))\n"
        "print((random.getstate(), np.random.get_state()[1].tolist()) == before)\n"
    )
    for _ in range(2):  # made, then loaded
        result = subprocess.run(
            [sys.executable, "-c", code, suite], capture_output=True, text=True, check=False
        )
        assert result.stdout.split() == ["True"] * 3, result.stderr
        assert result.stderr == ""


def test_two_processes_that_make_it_at_once_do_not_disturb_each_other(tmp_path: Path, cache: Path):
    suite = small_core(tmp_path, FEW)
    code = (
        "import sys; from conductor_gym.tasks.suite import load_split;"
        "print(load_split(sys.argv[1], 'dev').content_hash())"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code, suite], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [process.communicate(timeout=120)[0].strip() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert told[0] == told[1] == load_split(suite, "dev").content_hash()
    assert len(list((cache / "suites").iterdir())) == 1


def _flip(content: bytes) -> bytes:
    half = len(content) // 2
    return content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]


@pytest.fixture(scope="module")
def few_rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    card = generator(small_core(tmp_path_factory.mktemp("few"), FEW))
    with random_state_kept():
        return [row for order in card.orders() for row in make_rows(order)]


@pytest.fixture
def makings(
    monkeypatch: pytest.MonkeyPatch, few_rows: list[dict[str, Any]]
) -> list[tuple[Any, ...]]:
    """Grows by one whenever the tasks are made."""
    made: list[tuple[Any, ...]] = []

    def make(*given: Any) -> list[dict[str, Any]]:
        made.append(given)
        return few_rows

    monkeypatch.setattr(generated, "generate", make)
    return made


def _half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _shifted(content: bytes) -> bytes:
    return b"PK" + content


def _emptied(content: bytes) -> bytes:
    return content[:0]


@pytest.mark.parametrize("damage", [_flip, _half, _shifted, _emptied])
def test_a_broken_cache_is_noticed_and_made_again(
    tmp_path: Path,
    cache: Path,
    makings: list[Any],
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[bytes], bytes],
):
    card = generator(small_core(tmp_path, FEW))
    before = generated_tasks("few", card, "test")
    generated_tasks("few", card, "train")
    assert len(makings) == 1
    path = cache_path("few", card)
    path.write_bytes(damage(path.read_bytes()))
    again = generated_tasks("few", card, "test")
    assert len(makings) == 2
    assert again.tasks == before.tasks
    assert "is broken" in caplog.text


def test_a_cache_of_another_order_or_with_another_content_is_made_again(
    tmp_path: Path, cache: Path, makings: list[Any], monkeypatch: pytest.MonkeyPatch
):
    card = generator(small_core(tmp_path, FEW))
    generated_tasks("few", card, "test")
    path = cache_path("few", card)
    content = path.read_bytes()
    # rows that were changed without the hash
    with np.load(path) as file:
        held = dict(file)
    held["rows_test"] = np.frombuffer(held["rows_test"].tobytes().replace(b"a", b"e"), np.uint8)
    np.savez_compressed(path, allow_pickle=False, **cast(Any, held))
    generated_tasks("few", card, "test")
    assert len(makings) == 2
    # another version's file under this one's name
    monkeypatch.setattr(generated, "FORMAT", generated.FORMAT + 1)
    newer = cache_path("few", card)
    assert newer != path
    newer.write_bytes(content)
    generated_tasks("few", card, "test")
    assert len(makings) == 3


def test_the_cache_serves_without_the_extra_and_only_the_first_making_needs_it(
    tmp_path: Path, cache: Path, makings: list[Any], monkeypatch: pytest.MonkeyPatch
):
    card = generator(small_core(tmp_path, FEW))
    generated_tasks("few", card, "dev")

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert generated_tasks("few", card, "test").tasks
    with pytest.raises(MissingExtraError, match=r"conductor-gym\[tasks\]"):
        generated_tasks("other", card, "test")

    def older(name: str) -> str:
        return "0.1.24"

    monkeypatch.setattr(importlib.metadata, "version", older)
    with pytest.raises(DataFileError, match=r"pip install reasoning-gym==0.1.25"):
        generated_tasks("other", card, "test")


def test_what_cannot_be_made_is_told(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch):
    card = generator(small_core(tmp_path, ("gcd",)))
    with pytest.raises(DataFileError, match=r"'gcd' took longer than 0.05 s. Raise `seconds`"):
        generated_tasks("s", card.model_copy(update={"seconds": 0.05}), "test")
    with pytest.raises(DataFileError, match="is not what the suite is defined by"):
        generated_tasks("s", card.model_copy(update={"content": "0" * 16}), "test")
    poor = card.datasets[0].model_copy(update={"easy": {"min_value": 1, "max_value": 2}})
    with pytest.raises(DataFileError, match=r"'gcd' failed: .*too few different .*leave it out"):
        generated_tasks("s", card.model_copy(update={"datasets": (poor,)}), "test")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CONDUCTOR_GYM_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataFileError, match="CONDUCTOR_GYM_CACHE"):
        generated_tasks("s", card, "test")


def test_a_dataset_whose_grader_was_not_fuzzed_is_refused(tmp_path: Path):
    path = Path(small_core(tmp_path, ("gcd",)))
    path.write_text(path.read_text(encoding="utf-8").replace('"gcd"', '"countdown"'))
    with pytest.raises(DataFileError, match="runs answers as Python"):
        load_suite_card(str(path))


def test_it_plays_with_prompt_and_uid_in_info_and_on_the_screen(tmp_path: Path, cache: Path):
    suite = small_core(tmp_path, FEW)
    env = gym.make(
        "conductor_gym:Conductor-v0",
        suite=suite,
        pool=pool_of(tmp_path, ["arithmetic", "games"]),
        split="dev",
        render_mode="ansi",
    )
    levels = {t.uid: t for t in load_split(suite, "dev").tasks}
    state = random.getstate()
    for index in range(12):
        observation, info = env.reset(seed=0, options={"episode_index": index})
        task = levels[info["uid"].removeprefix("small-core/")]
        assert info["prompt"] == task.prompt
        assert info["uid"] in str(env.render())
        assert np.abs(observation["query"][:32]).sum() > 0
    assert random.getstate() == state


def test_listing_the_suites_makes_none(cache: Path):
    result = subprocess.run(
        [sys.executable, "-m", "conductor_gym", "list", "suites", "--json"],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    (row,) = [r for r in json.loads(result.stdout) if r["suite"] == "core-v1"]
    assert row["tasks"] == {"train": 6120, "dev": 1530, "test": 3060}
    assert row["levels"] == ["easy", "medium", "hard"]
    assert row["encoder"] == "hashed-32"
    assert row["content"] is None
    assert not (cache / "suites").exists()


def test_loading_from_the_cache(
    whole: dict[str, Generated],
    whole_cache: Path,
    benchmark: Any,
    monkeypatch: pytest.MonkeyPatch,
):
    assert whole
    monkeypatch.setenv("CONDUCTOR_GYM_CACHE", str(whole_cache))
    card = generator("core-v1")
    assert cache_path("core-v1", card).is_file()
    benchmark(generated_tasks, "core-v1", card, "train")
