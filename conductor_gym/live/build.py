"""From a pool's file to a dispatcher."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conductor_gym.errors import ConfigError, MissingExtraError
from conductor_gym.live.keys import api_key
from conductor_gym.live.messages import Client, Tokens
from conductor_gym.types import NANO_USD
from conductor_gym.workers.endpoint import Endpoint, ProviderLimits
from conductor_gym.workers.pool import Pool
from conductor_gym.workers.tables import worker_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conductor_gym.live.dispatcher import Dispatcher, Log
    from conductor_gym.live.limits import Limits


def make_dispatcher(
    pool: Pool,
    log: Log | None,
    ceiling_usd: float | None,
    concurrent: int = 64,
    spent: int = 0,
    tokens: Mapping[str, Tokens] | None = None,
    unanswered: Mapping[str, int] | None = None,
) -> Dispatcher:
    """Make a dispatcher for the workers of a live pool. Nothing is sent.

    Args:
        pool: Its workers have a `live` section.
        log: The journal, None for none.
        ceiling_usd: USD that may be spent at most, what the journal holds included; None: no
            ceiling.
        concurrent: Calls at the same time to a provider whose `limits` the pool does not state.
        spent: nano-USD that the journal holds.
        tokens: By worker uid, for replies that do not state their tokens.
        unanswered: nano-USD by key that `spent` counts for calls without a reply.

    Raises:
        ConfigError: A worker without `live` section, a missing key, a wrong base URL or ceiling.
        MissingExtraError: A package of the `live` extra is missing.
    """
    try:
        from conductor_gym.live.breaker import Breaker
        from conductor_gym.live.dispatcher import Dispatcher
        from conductor_gym.live.lane import Lane
        from conductor_gym.live.limits import Limits
    except ModuleNotFoundError:
        raise MissingExtraError("a live run", "live") from None
    from conductor_gym.live.spending import Spending

    if ceiling_usd is not None and not 0.0 <= ceiling_usd < float("inf"):
        raise ConfigError(f"the ceiling is {ceiling_usd!r} USD: give a number of USD, 0 or more.")
    limits: dict[str, Limits] = {}
    lanes: dict[str, Lane] = {}
    for card, row in zip(pool.workers, worker_table(pool), strict=True):
        if card.live is None:
            raise ConfigError(
                f"worker {card.name!r} of pool {pool.name!r} has no [workers.live] section, which "
                "says how it is reached."
            )
        if card.provider not in limits:
            allowed = pool.limits.get(card.provider, ProviderLimits(concurrent=concurrent))
            limits[card.provider] = Limits(allowed)
        lanes[card.uid] = Lane(
            make_client(card.uid, card.live),
            int(row["price_in"]),
            int(row["price_out"]),
            card.live.deadline_s,
            limits[card.provider],
            Breaker(),
            None if tokens is None else tokens.get(card.uid),
        )
    ceiling = None if ceiling_usd is None else round(ceiling_usd * NANO_USD)
    return Dispatcher(lanes, log, Spending(ceiling, spent), unanswered=unanswered)


def make_client(worker: str, endpoint: Endpoint) -> Client:
    """Make the client of one worker.

    Args:
        worker: The worker's uid, for messages.
        endpoint: How it is reached.

    Raises:
        ConfigError: A missing key or a wrong base URL.
        MissingExtraError: A package is missing.
    """
    if endpoint.client == "transformers":
        from conductor_gym.live.transformers_client import TransformersClient

        return TransformersClient(endpoint)
    key = api_key(worker, endpoint)
    try:
        if endpoint.client == "openai":
            from conductor_gym.live.openai_client import OpenAIClient

            return OpenAIClient(worker, endpoint, key)
        from conductor_gym.live.litellm_client import LiteLLMClient

        return LiteLLMClient(worker, endpoint, key)
    except ModuleNotFoundError:
        raise MissingExtraError(f"client {endpoint.client!r}", "live") from None
