"""What every engine of a language model does: chats in, replies out, own tokens counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from conductor_gym.language.grammar import Grammar
from conductor_gym.live.messages import Message

Chat = tuple[Message, ...]


@dataclass(frozen=True)
class Reply:
    """What a model said.

    Attributes:
        text: Without the model's marks.
        tokens_in: Of the chat, marks of its format included, as the model reads it; those that a
            cache spared it are counted too.
        tokens_out: Said, the mark that ends a reply included.
    """

    text: str
    tokens_in: int
    tokens_out: int


class LanguageEngine(Protocol):
    """A model that answers chats."""

    def count(self, chat: Chat) -> int:
        """Tokens of a chat; by characters where the tokenizer is not at hand."""
        ...

    def reply(
        self, chats: Sequence[Chat], grammars: Sequence[Grammar] | None, most: int
    ) -> list[Reply]:
        """Answer every chat.

        Args:
            chats: Each ends in a message of the environment.
            grammars: What each reply may consist of; None: anything.
            most: Tokens that a free reply may have.
        """
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...
