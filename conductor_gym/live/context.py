"""What a live worker sees besides the query: the newest outputs first, then the documents.

The same rule as `dynamics.call.plan_call`, on text. An output counts as many tokens as were billed
for it, so that both accounts agree; what does not fit whole is cut by the worker's own tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from conductor_gym.live.messages import Tokens
from conductor_gym.live.prompts import Seen


class Past(NamedTuple):
    """An ok output of an earlier step; `condense` gives none, its text stands for the documents.

    Attributes:
        seen: Whose it is, what was asked for, its text.
        tokens: Output tokens that were billed for it.
    """

    seen: Seen
    tokens: int


@dataclass(frozen=True)
class Context:
    """What one call sees besides the query.

    Attributes:
        outputs: Newest first; the last one may be cut.
        documents: Their start, or that of the notes taken from them.
        condensed: Whether `documents` are such notes.
        tokens: Tokens used of the level: outputs as billed, documents as counted.
    """

    outputs: tuple[Seen, ...]
    documents: str
    condensed: bool
    tokens: int


def fill_context(
    level_tokens: int,
    outputs: Sequence[Past],
    documents: str,
    tokens: Tokens,
    condensed: str | None = None,
) -> Context:
    """Fill a context level.

    Args:
        level_tokens: Tokens that the level allows; at 0 nothing is seen.
        outputs: Ok outputs of the episode so far, newest first, none of `condense`.
        documents: All documents of the task, one after the other; empty without.
        tokens: Counts as the worker does.
        condensed: The newest notes of an ok `condense`, which stand for the documents. None without
            one, and for a call of `condense`, which reads the documents themselves.
    """
    left = max(0, level_tokens)
    seen: list[Seen] = []
    for past in outputs:
        if left <= 0:
            break
        whole = past.tokens <= left
        text = past.seen.text if whole else tokens.cut(past.seen.text, left)
        left -= min(past.tokens, left)
        if text:
            seen.append(past.seen._replace(text=text))
    attached = documents if condensed is None else condensed
    shown = tokens.cut(attached, left) if left > 0 else ""
    used = max(0, level_tokens) - left + (tokens.count(shown) if shown else 0)
    return Context(tuple(seen), shown, condensed is not None and bool(shown), used)
