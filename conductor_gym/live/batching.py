"""Which of the waiting chats go through a model together."""

from collections.abc import Sequence
from typing import NamedTuple


class Room(NamedTuple):
    """What fits into memory at once.

    Attributes:
        rows: Chats that are answered together.
        cached: Tokens of all of them, padding and what they may still say included.
        read: Tokens of prompts that are read in one pass, padding included.
    """

    rows: int
    cached: int
    read: int

    def halved(self) -> "Room":
        """Half of it, at least one of each."""
        return Room(*(max(1, most // 2) for most in self))


class Size(NamedTuple):
    """Tokens of a chat: those that it holds, and most that are still to be said."""

    held: int
    to_say: int


def fitting(waiting: Sequence[Size], running: Sequence[Size], length: int, room: Room) -> list[int]:
    """Who is let in next: the one that waited longest, with others of about its length.

    No more than half of a pass over the new prompts is padding. A chat that is larger than the room
    is let in alone.

    Args:
        waiting: In order of arrival.
        running: Those that are being answered.
        length: Tokens to which the running ones are padded.
        room: What fits.

    Returns:
        Positions in `waiting`; empty where the first has to wait for running ones to end.
    """
    order = range(len(waiting))
    if waiting:
        order = sorted(order, key=lambda i: abs(waiting[i].held - waiting[0].held))
    chosen: list[int] = []
    longest = held = 0
    to_say = max((size.to_say for size in running), default=0)
    for i in order:
        size = waiting[i]
        longest, held = max(longest, size.held), held + size.held
        to_say = max(to_say, size.to_say)
        n = len(chosen) + 1
        rows = len(running) + n
        fits = rows <= room.rows and rows * (max(length, longest) + to_say) <= room.cached
        together = n * longest <= room.read and n * longest <= 2 * held
        if not (fits and (together or n == 1)) and rows > 1:
            break
        chosen.append(i)
    return chosen
