"""Episodes over live workers: the same in any order, and calls see what the environment counts."""

import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference_asker import WORKERS, ReferenceAsker, live_pool, open_reference
from text_suites import row, write_rows

from conductor_gym.agents.base import Actions, Observations
from conductor_gym.config import EnvConfig
from conductor_gym.dynamics.results import RULE_NAMES, STATUS_NAMES
from conductor_gym.engines import new_engine
from conductor_gym.errors import ConfigError, NotRecordedError
from conductor_gym.leaderboard.evaluate import Episodes
from conductor_gym.leaderboard.told_play import play_told
from conductor_gym.live.engine import LiveEngine
from conductor_gym.live.journal_read import load_journal
from conductor_gym.live.messages import ChatReply, ChatRequest
from conductor_gym.tasks.task import Task
from conductor_gym.types import N_LEVELS, N_SUBTASKS, Status

SOLVE, PLAN, VERIFY, REVISE, CONDENSE, AGGREGATE, VOTE, SUBMIT = range(N_SUBTASKS)
PARTS = [
    {"domain": "law", "prompt": f"How many are {p} dozen?", "reference": str(12 * p)}
    | {"verifier": "number"}
    for p in (1, 2)
]
DOCUMENT = "The pump was repaired on Monday. " * 1_500
"""12,375 tokens, more than the workers' window of 8,192."""


def world(folder: Path, tasks: int = 4, **settings: Any) -> EnvConfig:
    """Sums, tasks of two parts, tasks with a document: so many of each."""
    whole = {"reference": None, "verifier": None, "split": "train"}
    rows = [row(i, split="train", domain="math") for i in range(tasks)]
    rows += [row(i, uid=f"both-{i}", domain="both", parts=PARTS, **whole) for i in range(tasks)]
    rows += [
        row(i, uid=f"read-{i}", domain="memo", split="train", documents=[DOCUMENT])
        for i in range(tasks)
    ]
    suite = write_rows(folder / "mine.jsonl", rows)
    chosen: dict[str, Any] = {
        "pool": live_pool(folder),
        "suite": suite,
        "split": "train",
        "cost_weight": 0.05,
    }
    return EnvConfig(**(chosen | settings))


class Late(ReferenceAsker):
    """Replies come after a while that hangs on nothing but luck; one in six comes to nothing."""

    async def reply(self, request: ChatRequest, worst_cost: int) -> ChatReply:
        """Its content follows from the request, the time that it takes does not."""
        await asyncio.sleep(random.SystemRandom().random() * 0.01)
        luck = random.Random(request.key)
        reply = await super().reply(request, worst_cost)
        reply = reply._replace(latency=luck.randrange(10**6), tokens_out=luck.randrange(1, 200))
        if luck.random() < 1 / 6:
            reply = reply._replace(status=luck.choice(list(Status)[1:]), text="")
        return reply


class Wanderer:
    """Decides by luck that follows from the row of the observation alone."""

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        taken: list[list[int]] = []
        for i, mask in enumerate(observation["action_mask"]):
            seen = (observation[name][i].tobytes().hex() for name in ("query", "history", "budget"))
            luck = random.Random("".join(seen))
            edges = (0, len(mask) - N_SUBTASKS - N_LEVELS, len(mask) - N_LEVELS, len(mask))
            taken.append(
                [
                    luck.choice(np.flatnonzero(mask[low:high]).tolist() or [0])
                    for low, high in pairwise(edges)
                ]
            )
        return np.array(taken, np.int64)


def assert_equal(a: Episodes, b: Episodes) -> None:
    for name in ("quality", "cost", "latency", "invalid"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), name)
    assert a.decisions == b.decisions
    assert a.failures == b.failures == {}


def wander(config: EnvConfig, n: int, journal: Path) -> tuple[Episodes, ReferenceAsker]:
    engine, asker = open_reference(config, n, journal, Late)
    try:
        return play_told(Wanderer(), engine, 20), asker
    finally:
        engine.close()


def test_episodes_do_not_hang_on_slots_or_the_order_of_replies_and_are_replayed_exactly(
    tmp_path: Path,
):
    config = world(tmp_path)
    played, asker = wander(config, 1, tmp_path / "1.jsonl")
    subtasks = Counter(request.about["subtask"] for request in asker.requests)
    assert set(subtasks) >= {"solve", "plan", "verify", "revise", "condense", "aggregate"}
    statuses = Counter(r.status for r in load_journal(tmp_path / "1.jsonl").replies.values())
    assert len(statuses) > 4
    for n in (3, 20, 30):
        others, again = wander(config, n, tmp_path / f"{n}.jsonl")
        assert_equal(others, played)
        assert sorted(again.asked) == sorted(asker.asked)
    # What came back stands in the journal: nothing is asked, whether it goes on or is replayed.
    others, again = wander(config, 5, tmp_path / "1.jsonl")
    assert_equal(others, played)
    assert again.asked == []
    replay = replayed(config, tmp_path / "1.jsonl", 4)
    assert_equal(play_told(Wanderer(), replay, 20), played)
    replay.close()


def replayed(config: EnvConfig, journal: Path, n: int = 1) -> LiveEngine:
    """The same settings on a journal, which is written into the pool's file."""
    pool = Path(config.pool)
    pool.write_text(f'journal = "{journal}"\n' + pool.read_text())
    engine = new_engine(replace(config, backend="recorded"), n)
    assert isinstance(engine, LiveEngine)
    return engine


def test_a_call_that_a_journal_lacks_is_told_and_not_made(tmp_path: Path):
    config = world(tmp_path)
    engine, _ = open_reference(config, 1, tmp_path / "calls.jsonl")
    engine.close()
    replay = replayed(config, tmp_path / "calls.jsonl")
    play = Play(replay)
    with pytest.raises(
        NotRecordedError, match=r"worker 'small', subtask solve, query 'mine/sum-0'"
    ):
        play(0, SOLVE)
    replay.close()


def test_a_step_of_all_slots_is_that_of_each_slot_as_soon_as_its_call_is_back(tmp_path: Path):
    config, n = world(tmp_path, max_steps=4), 6
    together, _ = open_reference(config, n, tmp_path / "a.jsonl", Late)
    apart, _ = open_reference(config, n, tmp_path / "b.jsonl", Late)
    every = np.arange(n, dtype=np.int64)
    seen = [engine.new_observation() for engine in (together, apart)]
    for engine, observation in zip((together, apart), seen, strict=True):
        engine.start(every, every, every, observation)
    luck = np.random.default_rng(3)
    for _ in range(14):
        actions = luck.integers(0, (3, N_SUBTASKS, N_LEVELS), (n, 3))
        over = np.flatnonzero(apart.episodes["over"])
        results = together.step(actions, seen[0], restart=True)
        rows = apart.episodes
        apart.start(over, rows["stream"][over], rows["index"][over] + 1, seen[1])
        left = np.setdiff1d(every, over)
        apart.begin(left, actions)
        while len(left):
            back = apart.ready()
            told = apart.finish(back, seen[1])
            assert told[back].tolist() == results[back].tolist()
            left = np.setdiff1d(left, back)
        np.testing.assert_array_equal(apart.episodes, together.episodes)
        for mine, theirs in zip(*seen, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    together.close()
    apart.close()


class Broken(Late):
    """One worker's key is wrong until it is repaired."""

    repaired = False

    async def reply(self, request: ChatRequest, worst_cost: int) -> ChatReply:
        """See `Late`."""
        if request.worker == "middle" and not self.repaired:
            raise ConfigError("the key of middle is wrong.")
        return await super().reply(request, worst_cost)


def test_a_call_that_cannot_be_made_moves_no_episode_and_the_others_replies_are_kept(
    tmp_path: Path,
):
    engine, asker = open_reference(world(tmp_path), 3, tmp_path / "calls.jsonl", Broken)
    every = np.arange(3, dtype=np.int64)
    observation = engine.new_observation()
    engine.start(every, every, every, observation)
    before = [engine.episodes.copy(), *(array.copy() for array in observation)]
    actions = np.array([[w, SOLVE, 0] for w in range(3)])
    with pytest.raises(ConfigError, match="key of middle"):
        engine.step(actions, observation)
    for now, then in zip([engine.episodes, *observation], before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert len(asker.asked) == 2
    Broken.repaired = True
    engine.step(actions, observation)
    assert engine.episodes["steps"].tolist() == [1, 1, 1]
    assert len(asker.asked) == len(set(asker.asked)) == 3
    engine.close()


class Silent(ReferenceAsker):
    """Never replies."""

    async def reply(self, request: ChatRequest, worst_cost: int) -> ChatReply:
        """Never."""
        await asyncio.sleep(3_600)
        raise AssertionError


@pytest.mark.parametrize("kind", [Late, Silent])
def test_a_stop_keeps_replies_that_come_and_waits_no_longer_than_a_deadline(
    tmp_path: Path, kind: type[ReferenceAsker], capsys: pytest.CaptureFixture[str]
):
    config = world(tmp_path)
    pool = Path(config.pool)
    pool.write_text(pool.read_text().replace("[workers.live]", "[workers.live]\ndeadline_s = 0.5"))
    engine, _ = open_reference(config, 3, tmp_path / "calls.jsonl", kind)
    every = np.arange(3, dtype=np.int64)
    engine.start(every, every, every, engine.new_observation())
    start = time.monotonic()
    engine.begin(every, np.array([[w, SOLVE, 0] for w in range(3)]))
    time.sleep(0.1)  # until they are sent
    engine.settle()
    engine.close()
    assert time.monotonic() - start < 30.0
    held = load_journal(tmp_path / "calls.jsonl")
    silent = kind is Silent
    assert (len(held.replies), len(held.unanswered)) == ((0, 3) if silent else (3, 0))
    assert (
        "waiting for the replies to 3 calls that were sent" in capsys.readouterr().err
    ) == silent


class Wordy(ReferenceAsker):
    """Long outputs of 200 tokens, each with a word of its own."""

    status = Status.OK

    async def reply(self, request: ChatRequest, worst_cost: int) -> ChatReply:
        """The answer is right."""
        said = f"word{len(self.asked)} " * 100
        task: Task = self._tasks[request.about["uid"]]
        part = int(request.about["part"])
        answer = (task if part < 0 else task.parts[part]).reference
        text = f"{said}\nAnswer:\n{answer}\nConfidence: 70%"
        if request.about["subtask"] == "plan":
            text = f"{said}\nPart 1: {said}\nPart 2: multiply"
        if request.about["subtask"] == "verify":
            text = f"{said}\nVerdict: correct"
        text = text if self.status == Status.OK else ""
        return ChatReply(self.status, text, 50, 200, worst_cost // 2, 1000)


class Play:
    """One episode, call by call."""

    def __init__(self, engine: Any, asker: ReferenceAsker | None = None, uid: str = "sum-") -> None:
        self.engine, self.asker = engine, asker
        self.observation = engine.new_observation()
        zero = np.zeros(1, np.int64)
        for index in range(len(engine.world.data.uids)):
            engine.start(zero, zero, zero + index, self.observation)
            if (
                engine.world.data.uids[int(engine.episodes[0]["query"])]
                .rpartition("/")[2]
                .startswith(uid)
            ):
                return
        raise LookupError(uid)

    def __call__(self, worker: int, subtask: int, level: int = 0) -> tuple[Any, str]:
        """What a step came to, and the prompt of its call; empty where none was made."""
        asked = 0 if self.asker is None else len(self.asker.requests)
        result = self.engine.step(np.array([[worker, subtask, level]]), self.observation)[0]
        new = [] if self.asker is None else self.asker.requests[asked:]
        return result, "\n".join(m.content for request in new for m in request.messages)


@pytest.fixture
def wordy(tmp_path: Path) -> Iterator[Any]:
    """``wordy("sum-", budget_usd=...)``: an episode with such workers."""
    opened: list[LiveEngine] = []

    def make(uid: str, kind: type[Wordy] = Wordy, **settings: Any) -> Play:
        journal = tmp_path / f"{len(opened)}.jsonl"
        engine, asker = open_reference(world(tmp_path, 1, **settings), 1, journal, kind)
        opened.append(engine)
        return Play(engine, asker, uid)

    yield make
    for engine in opened:
        engine.close()


def words(prompt: str) -> Counter[str]:
    """How often each output's word stands in a prompt."""
    return Counter(re.findall(r"\bword\d\b", prompt))


@pytest.mark.parametrize("subtask", [VERIFY, REVISE, AGGREGATE])
def test_a_call_sees_the_newest_outputs_that_its_level_holds_and_no_names(wordy: Any, subtask: int):
    for level, seen in (
        (0, {}),
        (1, {"word2": 100, "word1": 37}),  # 256 tokens: 200 of one, 56 of the one before
        (2, {"word0": 100, "word1": 100, "word2": 100}),
    ):
        play = wordy("sum-")
        for worker in (2, 0, 2):
            play(worker, SOLVE)
        _, prompt = play(1, subtask, level)
        assert words(prompt) == seen
        # The oldest stands first; workers are called by the order in which they were asked.
        shown = [label for label in prompt.split() if label in ("A", "B")]
        assert shown == {0: [], 1: ["B", "A"], 2: ["A", "B", "A"]}[level]
        assert not any(name in prompt for name in (*WORKERS, "trio", "sum-"))
        about = "The answer in question" in prompt
        assert about == (subtask in (VERIFY, REVISE))


def test_parts_are_opened_by_a_plan_and_joined_where_they_fit(wordy: Any):
    for level, (first, second) in {0: (False, False), 1: (False, True), 2: (True, True)}.items():
        play = wordy("both-")
        _, prompt = play(0, SOLVE)
        assert prompt.count("dozen") == 2
        result, _ = play(0, PLAN)
        assert result["status"] == Status.OK
        assert play.engine.episodes[0]["opened"] == 1
        for part in (1, 2):
            _, prompt = play(part, SOLVE)
            assert f"How many are {part} dozen?" in prompt
            assert f"How many are {3 - part} dozen?" not in prompt
        _, prompt = play(0, AGGREGATE, level)
        assert ("The answer to part 1: none yet" not in prompt) == first
        assert ("The answer to part 2: none yet" not in prompt) == second
        assert ("\n12\n" in prompt, "\n24\n" in prompt) == (first, second)


def test_documents_are_cut_to_the_level_and_notes_stand_for_them(wordy: Any):
    play = wordy("read-")
    _, prompt = play(0, SOLVE)
    assert "pump" not in prompt
    _, prompt = play(0, SOLVE, 1)
    assert prompt.count("The pump was repaired") == (256 - 200) * 4 // 33 + 1
    _, prompt = play(1, CONDENSE, 3)
    assert prompt.count("The pump was repaired") > 400
    result, prompt = play(2, SOLVE, 2)
    assert result["status"] == Status.OK
    assert "Notes taken from the documents" in prompt
    assert "pump" not in prompt
    assert words(prompt)["word2"] == 100


def test_a_call_that_the_episode_cannot_pay_is_not_made(wordy: Any):
    play = wordy("read-", budget_usd=2e-4)
    for worker, level, status, rule in (
        (0, 3, "unaffordable", None),  # with 4,096 tokens of the document
        (2, 0, None, "worker_unaffordable"),
        (0, 0, "ok", None),
    ):
        result, prompt = play(worker, SOLVE, level)
        assert STATUS_NAMES[result["status"]] == status
        assert RULE_NAMES[result["rule"]] == rule
        assert bool(prompt) == (status == "ok")


@pytest.mark.parametrize("status", list(Status))
def test_the_status_of_a_reply_is_that_of_the_step(wordy: Any, status: Status):
    kind = type("Other", (Wordy,), {"status": status})
    play = wordy("sum-", kind)
    result, prompt = play(0, SOLVE)
    assert prompt
    assert STATUS_NAMES[result["status"]] == status.name.lower()
    assert result["cost_usd"] > 0.0
    assert bool(play.observation.budget[0, 7] > 0) == (status == Status.OK)
