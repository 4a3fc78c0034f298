"""A journal replayed: its calls again, without network and without money."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from conductor_gym.errors import NotRecordedError
from conductor_gym.live.journal_read import load_journal
from conductor_gym.live.messages import ChatReply, ChatRequest

PLACE = ("uid", "worker", "subtask", "part", "level", "attempt")
"""What a call is about: where it stands among the calls of its query."""


class Replay:
    """Answers calls from a journal and from nowhere else.

    Args:
        path: The journal, ``.jsonl`` or ``.jsonl.gz``.

    Attributes:
        warnings: Lines of it that could not be read, for people.

    Raises:
        DataFileError: No such file, no journal, or one of a later format.
    """

    def __init__(self, path: Path | str) -> None:
        self._calls = load_journal(path)
        self.warnings = self._calls.warnings

    async def ask(self, request: ChatRequest, worst_cost: int) -> ChatReply:
        """The recorded reply: tokens, bill and latency as they were.

        Args:
            request: The call; found by its key.
            worst_cost: Not used: nothing is spent.

        Raises:
            NotRecordedError: The journal has no such call, or it was never answered.
        """
        del worst_cost
        reply = self._calls.replies.get(request.key)
        if reply is None:
            raise self._missing(request)
        return reply

    def _missing(self, request: ChatRequest) -> NotRecordedError:
        said = request.about
        what = (
            f"worker {said.get('worker', request.worker)!r}, subtask {said.get('subtask')}, "
            f"query {said.get('uid')!r}, attempt {said.get('attempt', request.attempt)}"
        )
        return NotRecordedError(
            f"{self._calls.path.name} holds no such call: {what}. {self._reason(request)} With "
            "backend live and this journal, what is missing is asked and added."
        )

    def _reason(self, request: ChatRequest) -> str:
        """Why it may be missing, from the recorded call that is nearest to it."""
        if request.key in self._calls.worst:
            return "It was sent, but the run ended before the reply."
        place = _place(request)
        for known in self._calls.requests.values():
            if _place(known) == place:
                names = [f.name for f in fields(request) if f.name != "about"]
                differs = [n for n in names if getattr(known, n) != getattr(request, n)]
                return f"Such a call is there with other {', '.join(differs)}."
        return "Only the calls that its run made are in it."


def _place(request: ChatRequest) -> tuple[Any, ...]:
    return tuple(request.about.get(name) for name in PLACE)
