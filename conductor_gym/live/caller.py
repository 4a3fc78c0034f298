"""One call of an episode: its prompt, the worker's reply, and what the environment makes of it."""

import asyncio
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np

from conductor_gym.dynamics.state import Records
from conductor_gym.kernels import OUTCOME_DTYPE
from conductor_gym.live.context import Context, Past, fill_context
from conductor_gym.live.messages import ChatReply, ChatRequest, Message, Tokens
from conductor_gym.live.parse import Parsed, answer_identity, parse_reply
from conductor_gym.live.progress import Progress
from conductor_gym.live.prompts import Asked, Seen, prompt_version, write_prompt
from conductor_gym.tasks.documents import documents_of
from conductor_gym.tasks.task import Task
from conductor_gym.tasks.verifiers import grade
from conductor_gym.types import CONTEXT_LEVELS, MISSING, Status, Subtask
from conductor_gym.workers.pool import WorkerCard
from conductor_gym.world import World

_OK = int(Status.OK)
_CONDENSE = int(Subtask.CONDENSE)
_RUN = "python-tests"
"""The verifier that runs answers."""
_ANSWERS = (Subtask.SOLVE, Subtask.REVISE, Subtask.AGGREGATE)


class Said(NamedTuple):
    """The words of one past step.

    Attributes:
        output: What later calls may see of it.
        answer: The answer alone; empty without one.
    """

    output: str
    answer: str


NOTHING = Said("", "")


class Came(NamedTuple):
    """What one call came to.

    Attributes:
        outcome: `OUTCOME_DTYPE` record.
        said: Its words.
    """

    outcome: Any
    said: Said


@dataclass(frozen=True)
class Situation:
    """A call and the episode that it is made in, as they were when it was decided.

    Attributes:
        query: Row of the split.
        worker: Slot.
        level: Context level.
        part: That is worked on, `MISSING` for the whole.
        target: Step whose answer is verified or revised, `MISSING` for other subtasks.
        target_answer: That answer's identity.
        attempt: How often this worker already did this to this target.
        opened: Whether the parts are open.
        condensed: Step that condensed the documents, `MISSING` without one.
        part_answers: Steps that wrote the parts' answers, `MISSING` where there is none.
        steps: `STEP_DTYPE` [steps taken].
        said: Words of each of them.
        words: What the policy tells the worker besides.
    """

    stream: int
    index: int
    query: int
    worker: int
    subtask: int
    level: int
    part: int
    target: int
    target_answer: int
    attempt: int
    opened: bool
    condensed: int
    part_answers: tuple[int, ...]
    steps: Records
    said: tuple[Said, ...]
    words: str = ""


class Asker(Protocol):
    """Gets replies: from live workers, or from a journal of them."""

    async def ask(self, request: ChatRequest, worst_cost: int) -> ChatReply:
        """The reply to a request, which may cost so many nano-USD."""
        ...

    def graded(self, key: str, outcome: Mapping[str, Any]) -> None:
        """Take note of what the environment made of a reply."""
        ...

    def progress(self) -> Progress | None:
        """Calls so far, None where none are made."""
        ...

    def allow(self, sending: bool) -> None:
        """Whether calls may be sent that were not sent yet; where not, they are cancelled."""
        ...

    async def close(self) -> None:
        """Close connections and files."""
        ...


class Caller:
    """Makes the calls of one world.

    Args:
        world: Pool and suite.
        asker: Gets the replies.
        tokens: Counts each worker's tokens, in slot order.
    """

    def __init__(self, world: World, asker: Asker, tokens: tuple[Tokens, ...]) -> None:
        self._world = world
        self._asker = asker
        self._tokens = tokens
        self._cap = int(world.tables.rules[0]["output_cap"])
        # One thread: verifiers keep the process's random state and may take seconds.
        self._grading = ThreadPoolExecutor(1, "grading")
        # Code runs in processes of its own, which a thread each waits for.
        self._trying = ThreadPoolExecutor(max(1, (os.cpu_count() or 1) // 2), "trying")
        self._scores: dict[tuple[int, int, str], float] = {}

    async def call(self, situation: Situation) -> Came:
        """Ask, read and grade.

        Raises:
            ConductorError: A call that no attempt can make, or that no journal holds.
        """
        task = self._task(situation)
        if task.documents is not None or situation.part >= 0:
            request = await asyncio.to_thread(self.request, situation)
        else:
            request = self.request(situation)
        worker = self._world.tables.workers[situation.worker]
        bound = self._tokens[situation.worker].bound(request.messages)
        dearest = bound * int(worker["price_in"]) + request.max_tokens * int(worker["price_out"])
        reply = await self._asker.ask(request, (dearest + 500) // 1000)
        return await self._read(situation, task, request.key, reply)

    async def close(self) -> None:
        """Close connections and files."""
        self._grading.shutdown(wait=False, cancel_futures=True)
        self._trying.shutdown(wait=False, cancel_futures=True)
        await self._asker.close()

    def progress(self) -> Progress | None:
        """Calls so far, None where none are made."""
        return self._asker.progress()

    def allow(self, sending: bool) -> None:
        """Whether calls may be sent that were not sent yet; where not, they are cancelled."""
        self._asker.allow(sending)

    def request(self, situation: Situation) -> ChatRequest:
        """What is sent for a call."""
        worker = self._card(situation)
        endpoint = worker.live
        task = self._task(situation)
        messages = write_prompt(self._asked(situation, task))
        data = self._world.data
        cycle = situation.index // len(data.uids)
        return ChatRequest(
            worker=worker.uid,
            model=worker.name if endpoint is None else endpoint.model,
            messages=messages,
            max_tokens=self._max_tokens(situation, messages),
            settings={} if endpoint is None else endpoint.settings(),
            template=prompt_version(),
            attempt=situation.attempt,
            luck=f"{situation.stream}.{cycle}",
            about={
                "uid": data.uids[situation.query],
                "domain": task.domain,
                "split": data.name,
                "worker": worker.name,
                "subtask": Subtask(situation.subtask).name.lower(),
                "part": situation.part,
                "level": situation.level,
                "attempt": situation.attempt,
                "target": situation.target_answer,
                "stream": situation.stream,
                "index": situation.index,
            },
        )

    def _card(self, situation: Situation) -> WorkerCard:
        return self._world.pool.workers[situation.worker]

    def _task(self, situation: Situation) -> Task:
        whole = self._world.data.tasks[situation.query]
        return whole if situation.part < 0 else whole.parts[situation.part]

    def _max_tokens(self, situation: Situation, messages: tuple[Message, ...]) -> int:
        """The pool's cap, or what the window leaves where that is less."""
        window = self._card(situation).window
        # As many bytes as tokens at most: where that fits, no tokenizer needs to be asked.
        size = sum(len(text.encode(errors="replace")) + 16 for _, text in messages)
        if size + self._cap <= window:
            return self._cap
        left = window - self._tokens[situation.worker].bound(messages)
        return self._cap if left <= 0 else min(self._cap, left)

    def _asked(self, s: Situation, task: Task) -> Asked:
        whole = self._world.data.tasks[s.query]
        steps = _outputs(s)
        seen = self._context(s, whole, steps)
        outputs, part_answers = seen.outputs, ()
        if s.subtask == Subtask.AGGREGATE and s.opened:
            part_answers = _part_answers(s, steps, len(whole.parts))
            shown = zip(steps, outputs, strict=False)
            outputs = tuple(output for t, output in shown if t not in s.part_answers)
        return Asked(
            subtask=Subtask(s.subtask),
            task=task.prompt,
            verifier=task.verifier,
            parts=len(task.parts),
            answer=s.said[s.target].answer if s.target >= 0 else "",
            outputs=outputs,
            documents=seen.documents,
            condensed=seen.condensed,
            part_answers=part_answers,
            words=s.words,
        )

    def _context(self, s: Situation, whole: Task, steps: list[int]) -> Context:
        labels = _labels(s.steps)
        past: list[Past] = []
        for t in steps:
            step: Any = s.steps[t]
            label, subtask = labels[int(step["worker"])], Subtask(int(step["subtask"]))
            past.append(Past(Seen(label, subtask, s.said[t].output), int(step["tokens_out"])))
        level = CONTEXT_LEVELS[s.level]
        notes = None
        if s.condensed >= 0 and s.subtask != Subtask.CONDENSE:
            notes = s.said[s.condensed].output
        documents = ""
        if level and whole.documents is not None and notes is None:
            documents = _documents(self._world, s.query)
        return fill_context(level, past, documents, self._tokens[s.worker], notes)

    async def _read(self, s: Situation, task: Task, key: str, reply: ChatReply) -> Came:
        row = np.zeros(1, OUTCOME_DTYPE)[0]
        row["answer"] = row["verdict"] = MISSING
        row["confidence"] = -1.0
        row["status"] = reply.status
        for name in ("tokens_in", "tokens_out", "cost", "latency"):
            row[name] = getattr(reply, name)
        if reply.status != Status.OK:
            return Came(row, NOTHING)
        subtask = Subtask(s.subtask)
        parsed: Parsed = parse_reply(subtask, reply.text, task.verifier, len(task.parts))
        row["status"] = parsed.status
        score = 0.0
        if parsed.status == Status.OK:
            row["confidence"], row["verdict"] = parsed.confidence, parsed.verdict
            if subtask in _ANSWERS:
                row["answer"] = answer_identity(parsed.answer, task.verifier)
                score = await self._score(s, task, parsed.answer)
            elif subtask == Subtask.CONDENSE:
                score = 1.0  # of the evidence; nobody knows, and nothing of it is observed
        row["score"] = score
        noted = ("status", "answer", "confidence", "verdict", "score")
        self._asker.graded(key, {name: row[name].item() for name in noted})
        if parsed.status != Status.OK:
            return Came(row, NOTHING)
        return Came(row, Said(parsed.output, parsed.answer))

    async def _score(self, s: Situation, task: Task, answer: str) -> float:
        """The grade of an answer; that of an equal answer is not worked out again."""
        key = (s.query, s.part, answer)
        if key not in self._scores:
            threads = self._trying if task.verifier == _RUN else self._grading
            loop = asyncio.get_running_loop()
            self._scores[key] = await loop.run_in_executor(threads, grade, task, answer)
        return self._scores[key]


def _outputs(s: Situation) -> list[int]:
    """Steps whose outputs later calls may see, newest first."""
    return [
        t
        for t in range(len(s.said) - 1, -1, -1)
        if int(s.steps[t]["status"]) == _OK
        and int(s.steps[t]["subtask"]) != _CONDENSE
        and s.said[t].output
    ]


def _part_answers(s: Situation, steps: list[int], parts: int) -> tuple[str | None, ...]:
    """The parts' answers, None where there is none or its output does not fit whole."""
    left = CONTEXT_LEVELS[s.level]
    held: set[int] = set()
    for t in steps:
        left -= int(s.steps[t]["tokens_out"])
        if left >= 0:
            held.add(t)
    return tuple(s.said[t].answer if t in held else None for t in s.part_answers[:parts])


def _labels(steps: Records) -> dict[int, str]:
    """Workers by the order in which they were first asked: names and slots never enter a prompt."""
    order = dict.fromkeys(w for w in steps["worker"].tolist() if w >= 0)
    return {worker: f"worker {chr(ord('A') + i % 26)}" for i, worker in enumerate(order)}


@lru_cache(maxsize=32)
def _documents(world: World, query: int) -> str:
    """All documents of a task as one text; making them may take a second."""
    return "\n\n".join(documents_of(world.data.tasks[query]))
