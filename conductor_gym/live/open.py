"""Opening the engine over live workers, or over a journal of their calls."""

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from conductor_gym.config import EnvConfig
from conductor_gym.errors import ConfigError
from conductor_gym.live.background import Background
from conductor_gym.live.build import make_dispatcher
from conductor_gym.live.caller import Caller
from conductor_gym.live.engine import LiveEngine
from conductor_gym.live.journal import Journal
from conductor_gym.live.messages import ChatReply, ChatRequest
from conductor_gym.live.options import LiveOptions
from conductor_gym.live.progress import Progress
from conductor_gym.live.prompts import prompt_version
from conductor_gym.live.replay import Replay
from conductor_gym.live.tokens import CharTokens, tokens_of
from conductor_gym.types import Status
from conductor_gym.workers.pool import Pool
from conductor_gym.world import World, journal_path, make_world

if TYPE_CHECKING:
    from conductor_gym.live.dispatcher import Dispatcher

NOT_REACHED = (Status.THROTTLED, Status.UNAVAILABLE, Status.TIMEOUT)


class JournalledAsker:
    """A dispatcher and its journal.

    Args:
        dispatcher: Makes calls that the journal does not hold.
        journal: Holds all of them.
    """

    def __init__(self, dispatcher: "Dispatcher", journal: Journal) -> None:
        self.dispatcher = dispatcher
        self.journal = journal

    async def ask(self, request: ChatRequest, worst_cost: int) -> ChatReply:
        """See `Asker.ask`."""
        return await self.dispatcher.ask(request, worst_cost)

    def graded(self, key: str, outcome: Mapping[str, Any]) -> None:
        """See `Asker.graded`."""
        self.journal.graded(key, outcome)

    def progress(self) -> Progress | None:
        """See `Asker.progress`."""
        return self.dispatcher.progress()

    def allow(self, sending: bool) -> None:
        """See `Asker.allow`."""
        self.dispatcher.sending = sending

    async def close(self) -> None:
        """See `Asker.close`."""
        await self.dispatcher.close()
        self.journal.close()


class ReplayAsker:
    """A journal that is read only.

    Args:
        replay: The journal.
    """

    def __init__(self, replay: Replay) -> None:
        self._replay = replay

    async def ask(self, request: ChatRequest, worst_cost: int) -> ChatReply:
        """See `Asker.ask`."""
        return await self._replay.ask(request, worst_cost)

    def graded(self, key: str, outcome: Mapping[str, Any]) -> None:
        """Nothing: what stands there was graded."""

    def progress(self) -> Progress | None:
        """None: no calls are made."""
        return None

    def allow(self, sending: bool) -> None:
        """Nothing: no calls are made."""

    async def close(self) -> None:
        """Nothing is open."""


def open_replay(config: EnvConfig, n: int, world: World) -> LiveEngine:
    """An engine that replays the journal that the pool names.

    Raises:
        DataFileError: No such journal.
    """
    tokens = tuple(CharTokens() for _ in world.pool.workers)
    replay = Replay(journal_path(world.pool))
    caller = Caller(world, ReplayAsker(replay), tokens)
    return LiveEngine(config, n, world, caller, Background(), replay.warnings)


def open_live(config: EnvConfig, n: int, options: LiveOptions) -> LiveEngine:
    """An engine over live workers.

    Args:
        config: The settings; the backend must come out as live.
        n: Number of slots.
        options: Journal and ceiling.

    Raises:
        ConfigError: Workers that cannot be reached, missing keys, a journal of something else.
        DataFileError: A journal that cannot be written.
    """
    world = make_world(config)
    if world.backend != "live":
        raise ConfigError(
            f'pool {world.pool.name!r} is {world.backend}: pass backend="live" to call its workers.'
        )
    header = {"workers": _workers(world.pool), "prompts": prompt_version()}
    journal = Journal.open(options.journal, header, NOT_REACHED if options.again else ())
    background = Background()
    try:
        tokens = {w.uid: tokens_of(w.live) for w in world.pool.workers if w.live is not None}
        dispatcher = make_dispatcher(
            world.pool,
            journal,
            options.ceiling_usd,
            options.concurrent,
            journal.spent,
            tokens,
            journal.unanswered_costs,
        )
        background.run(dispatcher.preflight())
    except BaseException:
        background.close()
        journal.close()
        raise
    asker = JournalledAsker(dispatcher, journal)
    caller = Caller(world, asker, tuple(tokens[w.uid] for w in world.pool.workers))
    return LiveEngine(config, n, world, caller, background, journal.warnings)


def _workers(pool: Pool) -> str:
    """Hash of who the workers are and what their tokens cost: a journal is about these."""
    said = [(w.uid, w.usd_per_m_input, w.usd_per_m_output) for w in pool.workers]
    return hashlib.blake2b(json.dumps(said).encode(), digest_size=8).hexdigest()
