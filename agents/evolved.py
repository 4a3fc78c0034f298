"""An evolved head, in the manner of TRINITY (Xu et al. 2025).

TRINITY puts a head of about ten thousand numbers on the hidden state of a small language model,
lets it name a worker and a role at each turn, and finds the numbers by separable CMA-ES from the
final reward alone: few evaluations, no gradients. Here the head is linear on what is observed, its
about one thousand numbers choose the subtask, then the worker and the context level given it, and a
candidate's fitness is its mean return over a fresh batch of training episodes, the same for all
candidates of a generation. Their cost weights are drawn and observed, so one head serves all.

The search is a function of its seed and of the fitnesses it was told: a checkpoint is these.
"""

from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from conductor_gym.agents.base import Actions, Observations, Setting
from conductor_gym.agents.reading import document_level, last, last_subtask, may
from conductor_gym.agents.training import TrainingRun, read_card, read_weights
from conductor_gym.engine import Engine
from conductor_gym.errors import MissingExtraError
from conductor_gym.spaces import BUDGET_COLUMNS, EMBEDDING_WIDTH, QUERY_WIDTH, WORKER_COLUMNS
from conductor_gym.types import N_LEVELS, N_SUBTASKS, Subtask

POPULATION = 32
EPISODES = 256
"""Of each candidate and generation."""
SLOTS = 2048
EMBEDDING_SCALE = 0.25
"""Less than 1, for the search moves every number alike and the text tells less than the domain."""
STEP_SIZE = 0.1
"""First standard deviation of every number of the head."""
STEP_CHARGE = 0.001
"""Taken from the fitness for each step: steps that cost nothing, a second vote, only take time."""
GENERATIONS_PER_CHECKPOINT = 20

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_OWN = [
    WORKER_COLUMNS.index(name)
    for name in (
        "calls",
        "errors",
        "last_confidence",
        "wrote_current_answer",
        "agrees_with_current_answer",
    )
]
_PRICE, _READY = 3, 8
_SHAPES: dict[str, tuple[int, ...]] = {
    "subtask": (18 + N_SUBTASKS, N_SUBTASKS),
    "worker": (_PRICE + 2 + QUERY_WIDTH, 0),
    "worker_by_subtask": (N_SUBTASKS, 0),
    "own_record": (N_SUBTASKS, len(_OWN)),
    "level": (_PRICE, N_LEVELS),
    "level_by_subtask": (N_SUBTASKS, N_LEVELS),
    "level_by_documents": (N_LEVELS, N_LEVELS),
}
"""The parts of a head; 0 stands for the number of worker slots."""


class Features(NamedTuple):
    """What the head sees of n decisions.

    Attributes:
        state: float64 [n, 26], the episode so far, and what a cent costs.
        query: float64 [n, 61], what a cent costs, the query or open part.
        documents: int64 [n], level that shows all documents.
        own: float64 [n, workers, 5], each worker's record in this episode.
        mask: bool [n, workers + 8 + 7].
    """

    state: Floats
    query: Floats
    documents: Integers
    own: Floats
    mask: npt.NDArray[np.bool_]


class Generation(NamedTuple):
    """What a population came to.

    Attributes:
        fitness: float64 [heads], mean return less `STEP_CHARGE` a step.
        mean_return: Of all episodes.
        steps: Of all episodes.
        cost_usd: Of all episodes.
    """

    fitness: Floats
    mean_return: float
    steps: int
    cost_usd: float


def look(observation: Observations) -> Features:
    """The fixed features; nothing in them is learned.

    Args:
        observation: Batched observations.
    """
    n = len(observation["budget"])
    budget = dict(zip(BUDGET_COLUMNS, observation["budget"].T.astype(np.float64), strict=True))
    documents = document_level(observation)
    weight, size = budget["cost_weight"], documents / N_LEVELS
    opened = (budget["parts_open"] > 0) | (budget["parts_done"] > 0)
    price = [np.ones(n), weight, weight**2]
    columns = [
        *price,
        budget["has_answer"],
        1.0 - budget["steps_left"],
        1.0 - budget["money_left"],
        budget["parts_open"],
        budget["parts_done"],
        opened & (budget["parts_open"] == 0),
        ~opened & may(observation, Subtask.PLAN),
        may(observation, Subtask.CONDENSE),
        size,
    ]
    for name in ("confidence", "agreement", "verdict"):
        seen = last(observation, name)
        columns += [np.maximum(seen, 0.0), seen >= 0.0]
    newest = last_subtask(observation)
    columns += [newest == subtask for subtask in Subtask]
    state = np.stack(columns, axis=1, dtype=np.float64, casting="unsafe")
    embedding, rest = np.split(observation["query"].astype(np.float64), [EMBEDDING_WIDTH], axis=1)
    told = np.stack([*price, size, size * weight], axis=1)
    query = np.concatenate([told, np.maximum(rest, 0.0), EMBEDDING_SCALE * embedding], axis=1)
    own = np.maximum(observation["workers"][:, :, _OWN].astype(np.float64), 0.0)
    return Features(state, query, documents, own, observation["action_mask"].astype(bool))


def head_of(numbers: Floats, workers: int) -> dict[str, Floats]:
    """The parts of heads by name, each float64 [heads, rows, columns].

    Args:
        numbers: float64 [heads, k].
        workers: Worker slots.
    """
    parts: dict[str, Floats] = {}
    at = 0
    for name, (rows, columns) in _shapes(workers).items():
        parts[name] = numbers[:, at : at + rows * columns].reshape(-1, rows, columns)
        at += rows * columns
    return parts


def decide(heads: dict[str, Floats], of: Integers, seen: Features) -> Actions:
    """The action with the highest score: subtask first, then worker and level given it.

    Args:
        heads: As from `head_of`.
        of: int64 [n], which head decides; ascending.
        seen: Features of n decisions.

    Returns:
        int64 [n, 3].
    """
    workers = seen.own.shape[1]
    valid = seen.mask
    table = np.empty((len(of), 3), np.int64)
    subtask = _best(_scores(heads["subtask"], of, seen.state), valid[:, workers:][:, :N_SUBTASKS])
    scores = _scores(heads["worker"], of, seen.query) + heads["worker_by_subtask"][of, subtask]
    scores += np.matmul(seen.own, heads["own_record"][of, subtask][:, :, None])[:, :, 0]
    table[:, 0] = _best(scores, valid[:, :workers])
    table[:, 1] = subtask
    scores = _scores(heads["level"], of, seen.query[:, :_PRICE])
    scores += heads["level_by_subtask"][of, subtask]
    scores += heads["level_by_documents"][of, seen.documents]
    table[:, 2] = _best(scores, valid[:, workers + N_SUBTASKS :])
    return table


class Evolved:
    """A linear head that sep-CMA-ES found.

    Args:
        setting: What the agent is built for.
        model: Folder with `policy.safetensors` and `card.json`.

    Raises:
        DataFileError: Files that are missing or broken.
        ConfigError: A head of another pool, suite or observation size.
    """

    def __init__(self, setting: Setting, model: Path) -> None:
        self.card = read_card("evolved", setting, model)
        shapes = _shapes(setting.train.max_workers)
        head = torch.nn.ParameterDict(
            {name: torch.zeros(shape, dtype=torch.float64) for name, shape in shapes.items()}
        )
        read_weights(model, head)
        self._head = {name: head[name].detach().numpy()[None] for name in shapes}

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        of = np.zeros(len(observation["budget"]), np.int64)
        return decide(self._head, of, look(observation))


def train_evolved(run: TrainingRun) -> dict[str, Any]:
    """Evolve a head and write its folder.

    Returns:
        The card.

    Raises:
        MissingExtraError: cma is not installed.
    """
    workers = run.config.max_workers
    search = _search(start_head(workers), run.first_stream)
    steps, spent, told = 0, 0.0, np.zeros((0, POPULATION))
    means: list[Floats] = []
    found = run.load_checkpoint()
    if found is not None:
        steps, tensors, values = found
        told, spent = tensors["fitness"].numpy().copy(), float(values["spent"])
        for fitness in told:
            search.tell(search.ask(), (-fitness).tolist())
            means.append(search.mean.copy())
    engine = Engine(run.config, SLOTS)
    returns: list[float] = []
    while steps < run.timesteps:
        candidates = search.ask()
        heads = head_of(np.array(candidates), workers)
        played = play_generation(engine, heads, run.first_stream, len(told) * EPISODES)
        search.tell(candidates, (-played.fitness).tolist())
        means.append(search.mean.copy())
        told = np.concatenate([told, played.fitness[None]])
        returns.append(played.mean_return)
        steps, spent = steps + played.steps, spent + played.cost_usd
        if len(told) % GENERATIONS_PER_CHECKPOINT == 0 or steps >= run.timesteps:
            run.log(steps, float(np.mean(returns)), step_size=search.sigma, spent_usd=spent)
            returns.clear()
            run.save_checkpoint(steps, {"fitness": torch.tensor(told)}, spent=spent)
    # The luckiest candidate is mostly lucky; the search's mean wanders, its average does not.
    mean = head_of(np.mean(means[len(means) // 2 :], axis=0)[None], workers)
    return run.finish(
        {name: torch.tensor(part[0]) for name, part in mean.items()},
        steps,
        {
            "population": POPULATION,
            "episodes": EPISODES,
            "step_size": STEP_SIZE,
            "numbers": len(start_head(workers)),
        },
        generations=len(told),
        calls_usd=spent,
    )


def _shapes(workers: int) -> dict[str, tuple[int, int]]:
    return {name: (rows, columns or workers) for name, (rows, columns) in _SHAPES.items()}


def start_head(workers: int) -> Floats:
    """Where the search begins: solve, and submit the answer; where parts were opened, join them."""
    parts = {name: np.zeros(shape) for name, shape in _shapes(workers).items()}
    parts["subtask"][0, Subtask.SOLVE] = 0.2
    parts["subtask"][_PRICE, Subtask.SUBMIT] = 0.4
    parts["subtask"][_READY, Subtask.AGGREGATE] = 0.4
    return np.concatenate([part.ravel() for part in parts.values()])


def _search(start: Floats, seed: int) -> Any:
    """A sep-CMA-ES with a generator of its own."""
    try:
        cma: Any = import_module("cma")
    except ModuleNotFoundError:
        raise MissingExtraError("evolution", "rl") from None
    generator = np.random.default_rng(seed)

    def normal(*shape: int) -> Floats:
        return generator.standard_normal(shape)

    options: dict[str, Any] = {
        "CMA_diagonal": True,
        "popsize": POPULATION,
        "randn": normal,
        "seed": np.nan,
        "signals_filename": "",
        "verbose": -9,
    }
    return cma.CMAEvolutionStrategy(start, STEP_SIZE, options)


def play_generation(
    engine: Engine, heads: dict[str, Floats], stream: int, first: int
) -> Generation:
    """Play the same episodes with every head of a population.

    Args:
        engine: `SLOTS` slots of the training environment.
        heads: As from `head_of`.
        stream: Of all episodes.
        first: Their first index.
    """
    jobs = POPULATION * EPISODES
    returns, lengths = np.zeros(jobs), np.zeros(jobs)
    slots = np.arange(engine.n, dtype=np.int64)
    job, handed_out = slots.copy(), engine.n
    spent = 0.0
    observation = engine.new_observation()
    engine.start(slots, np.full(engine.n, stream), first + job % EPISODES, observation)
    running = slots
    while len(running):
        running = running[np.argsort(job[running], kind="stable")]
        seen = {name: array[running] for name, array in observation._asdict().items()}
        table = np.zeros((engine.n, 3), np.int64)
        table[running] = decide(heads, job[running] // EPISODES, look(seen))
        results = engine.step(table, observation)
        ended = running[results["over"][running]]
        returns[job[ended]] = results["episode_return"][ended]
        lengths[job[ended]] = results["episode_length"][ended]
        spent += float(results["cost_usd"][ended].sum())
        next_ones = ended[: jobs - handed_out]
        job[next_ones] = handed_out + np.arange(len(next_ones))
        handed_out += len(next_ones)
        streams = np.full(len(next_ones), stream)
        engine.start(next_ones, streams, first + job[next_ones] % EPISODES, observation)
        running = np.concatenate([running[~results["over"][running]], next_ones])
    fitness = (returns - STEP_CHARGE * lengths).reshape(POPULATION, EPISODES).mean(axis=1)
    return Generation(fitness, float(returns.mean()), int(lengths.sum()), spent)


def _scores(parts: Floats, of: Integers, seen: Floats) -> Floats:
    """Each row times its own head's part."""
    scores = np.empty((len(of), parts.shape[2]))
    bounds = np.searchsorted(of, np.arange(len(parts) + 1))
    for head, (start, end) in enumerate(pairwise(bounds)):
        scores[start:end] = seen[start:end] @ parts[head]
    return scores


def _best(scores: Floats, valid: npt.NDArray[np.bool_]) -> Integers:
    """The valid column with the highest score, int64 [n]."""
    # Rounded: the last bits depend on how many rows are decided at once.
    return np.where(valid, np.round(scores, 9), -np.inf).argmax(axis=1)
