"""A chat within a budget of tokens: the task's text gives way, its middle first."""

from collections.abc import Callable

from conductor_gym.language.untrusted import shortened
from conductor_gym.live.messages import Message

LATER = 192
"""Tokens that are left for later steps, so that the task's text stays the same in all of them."""

Messages = tuple[Message, ...]


def within(messages: Messages, most: int, count: Callable[[Messages], int]) -> Messages:
    """A chat of at most so many tokens, if leaving out text of the task can do that.

    Args:
        messages: As in `Dialogue.messages`.
        most: Tokens.
        count: Tokens of a chat by the tokenizer of who reads it, marks included.
    """
    first = messages[:2]
    for kept, room in ((first, most - LATER), (messages, most)):
        if count(kept) > room:
            messages = _cut(messages, len(kept), room, count)
    return messages


def _cut(messages: Messages, read: int, room: int, count: Callable[[Messages], int]) -> Messages:
    """The chat with the longest task text with which its first messages fit, or with none."""
    head, text = _parts(messages[1].content)

    def told(characters: int) -> Messages:
        content = head + shortened(text, characters) if characters else head.rstrip("\n")
        return (messages[0], Message("user", content), *messages[2:])

    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if count(told(middle)[:read]) <= room:
            low = middle
        else:
            high = middle - 1
    return told(low)


def _parts(content: str) -> tuple[str, str]:
    """What stands before the task's text, and the text."""
    start = content.find("\nTask (")
    end = content.find("\n", start + 1) if start >= 0 else -1
    return (content, "") if end < 0 else (content[: end + 1], content[end + 1 :])
