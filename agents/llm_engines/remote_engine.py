"""A model behind a server or a provider: OpenAI's protocol, or whatever LiteLLM knows.

Calls go the way of live workers: limits, retries, deadline, circuit breaker and, where they cost
money, a ceiling that is never passed and a journal, so that nothing is paid twice. Imported late.
"""

import asyncio
import atexit
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from conductor_gym.agents.llm_engines.protocol import Chat, Reply
from conductor_gym.errors import WorkersDownError
from conductor_gym.language.grammar import Grammar
from conductor_gym.live.background import Background
from conductor_gym.live.breaker import Breaker
from conductor_gym.live.build import make_client
from conductor_gym.live.dispatcher import Dispatcher
from conductor_gym.live.journal import Journal
from conductor_gym.live.lane import Lane
from conductor_gym.live.limits import Limits
from conductor_gym.live.messages import ChatReply, ChatRequest
from conductor_gym.live.open import NOT_REACHED
from conductor_gym.live.spending import Spending
from conductor_gym.live.tokens import bytes_bound
from conductor_gym.tasks.task import CHARACTERS_PER_TOKEN
from conductor_gym.types import NANO_USD
from conductor_gym.workers.endpoint import Endpoint, ProviderLimits

UID = "conductor"
CONSTRAINED_TOKENS = 96
_NANO_PER_1000 = 1_000_000
"""nano-USD per 1,000 tokens at one USD per million."""


class RemoteEngine:
    """Answers chats by calls to one endpoint, many at the same time.

    Args:
        endpoint: How it is reached.
        usd_per_m_input: USD per million tokens.
        usd_per_m_output: Likewise.
        ceiling_usd: Most that all calls of this engine may cost; None where they cost nothing.
        concurrent: Calls at the same time.
        seed: Sent along, for servers that honour it.
        journal: A ``.jsonl`` file that keeps every reply: a run that was stopped finds them again.

    Raises:
        ConfigError: A missing key, a server that does not answer or does not have the model, a
            journal of something else.
        DataFileError: A journal that cannot be written.
        MissingExtraError: A package of the `live` extra is missing.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        usd_per_m_input: float = 0.0,
        usd_per_m_output: float = 0.0,
        ceiling_usd: float | None = None,
        concurrent: int = 32,
        seed: int = 0,
        journal: Path | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._settings = endpoint.settings()
        if endpoint.client == "openai":
            self._settings["seed"] = seed
        self._lane = Lane(
            make_client(UID, endpoint),
            round(usd_per_m_input * _NANO_PER_1000),
            round(usd_per_m_output * _NANO_PER_1000),
            endpoint.deadline_s,
            Limits(ProviderLimits(concurrent=concurrent)),
            Breaker(),
        )
        # A sampled chat that is asked again is a new sample; a likeliest reply is the same one.
        self._luck = f"seed {seed}" if endpoint.temperature else ""
        self._asked: Counter[str] = Counter()
        header = {"conductor": endpoint.model, "usd": [usd_per_m_input, usd_per_m_output]}
        self._journal = None if journal is None else Journal.open(journal, header, NOT_REACHED)
        spent = 0 if self._journal is None else self._journal.spent
        ceiling = None if ceiling_usd is None else round(ceiling_usd * NANO_USD)
        self._dispatcher = Dispatcher(
            {UID: self._lane},
            self._journal,
            Spending(ceiling, spent),
            unanswered={} if self._journal is None else self._journal.unanswered_costs,
        )
        self._background = Background()
        try:
            self._background.run(self._dispatcher.preflight())
        except BaseException:
            self._background.close()
            if self._journal is not None:
                self._journal.close()
            raise
        atexit.register(self.close)

    def count(self, chat: Chat) -> int:
        """See `LanguageEngine.count`: by characters, for the tokenizer is not at hand."""
        return sum(len(message.content) // CHARACTERS_PER_TOKEN + 4 for message in chat)

    def reply(
        self, chats: Sequence[Chat], grammars: Sequence[Grammar] | None, most: int
    ) -> list[Reply]:
        """See `LanguageEngine.reply`; grammars are for a vLLM server.

        Raises:
            SpendingCeilingError: The next call may cost more than what is left.
            WorkersDownError: The endpoint cannot be reached.
        """
        requests = [
            self._request(chat, None if grammars is None else grammars[i], most)
            for i, chat in enumerate(chats)
        ]
        replies = self._background.run(self._ask(requests))
        for reply in replies:
            if reply.status in NOT_REACHED:
                raise WorkersDownError(
                    f"the conductor's model {self._endpoint.model!r} cannot be reached: "
                    f"{reply.status.name.lower()}, {reply.detail}."
                )
        return [Reply(reply.text, reply.tokens_in, reply.tokens_out) for reply in replies]

    def close(self) -> None:
        """See `LanguageEngine.close`."""
        if not self._background.closed:
            self._background.run(self._dispatcher.close())
            self._background.close()
            if self._journal is not None:
                self._journal.close()

    def _request(self, chat: Chat, grammar: Grammar | None, most: int) -> ChatRequest:
        settings: dict[str, Any] = dict(self._settings)
        if grammar is not None:
            settings["structured_outputs"] = {"regex": grammar.regex()}
            most = max(most, CONSTRAINED_TOKENS)
        request = ChatRequest(UID, self._endpoint.model, chat, most, settings, "", luck=self._luck)
        if self._luck:
            before = self._asked[request.key]
            self._asked[request.key] += 1
            request = replace(request, attempt=before)
        return request

    async def _ask(self, requests: list[ChatRequest]) -> list[ChatReply]:
        tasks = [asyncio.create_task(self._one(request)) for request in requests]
        try:
            return list(await asyncio.gather(*tasks))
        finally:  # of a call that cannot be made: the others are not waited for
            for task in tasks:
                task.cancel()

    async def _one(self, request: ChatRequest) -> ChatReply:
        worst = self._lane.cost(bytes_bound(request.messages), request.max_tokens)
        return await self._dispatcher.ask(request, worst)
