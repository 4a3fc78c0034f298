"""ParetoBandit: LinUCB that starts from what the train split tells (Taberner-Miller 2026).

Unlike `linucb` it does not begin with nothing: its models are filled with the train split's single
calls, each of which counts as one of its own and fades likewise. The rest is `linear_bandit`:
forgetting, a pacer that holds the mean spending, workers that come and go.
"""

from typing import ClassVar

import numpy as np

from conductor_gym.agents.base import Setting
from conductor_gym.agents.experience import collect_single_calls
from conductor_gym.agents.linear_bandit import reading_cents, shown_tokens
from conductor_gym.agents.linucb import LinUCB
from conductor_gym.agents.reading import document_tokens
from conductor_gym.engine import Engine
from conductor_gym.reward import COST_UNIT_USD
from conductor_gym.types import Status


class ParetoBandit(LinUCB):
    """LinUCB with forgetting and a pacer that starts from the train split."""

    optimism: ClassVar[float] = 0.25
    """More than that of `linucb`: what is known from train needs none, newcomers do."""

    def __init__(self, setting: Setting, target_usd: float | None = None) -> None:
        super().__init__(setting, target_usd)
        calls = collect_single_calls(setting.train)
        documents = document_tokens({"query": calls.features})
        tokens = [
            shown_tokens(there, level)
            for there, level in zip(documents.tolist(), calls.documents.tolist(), strict=True)
        ]
        seen = zip(calls.features, tokens, strict=True)
        contexts = np.concatenate([self.contexts(query, shown) for query, shown in seen])
        query = np.repeat(np.arange(len(tokens)), [len(shown) for shown in tokens])
        level = np.concatenate([np.arange(len(shown)) for shown in tokens])
        workers = _workers(setting)
        for slot, model in enumerate(self.models_of(workers)[: len(setting.workers)].tolist()):
            made = calls.status[query, slot, level] != Status.OVERFLOW
            reading = reading_cents(workers[[slot]], np.concatenate(tokens))[0]
            cents = calls.cost_usd[query, slot, level] / COST_UNIT_USD - reading
            outcomes = np.stack([calls.quality[query, slot, level], cents], axis=1)
            self.models.start_from(model, contexts[made], outcomes[made])


def _workers(setting: Setting) -> np.ndarray:
    """What is observed of the workers of the training environment, float32 [slots, 12]."""
    engine, first = Engine(setting.train), np.zeros(1, np.int64)
    observation = engine.new_observation()
    engine.start(first, first, first, observation)
    return observation.workers[0]
