"""A whole episode as one sequence of tokens, with a mask of what the model itself wrote.

Sequences are put together turn by turn, each encoded alone, in training as in rollouts: so they are
the same tokens in both. That needs a chat template under which a longer chat begins with the
shorter one, which is checked.
"""

from dataclasses import dataclass
from typing import Any

from conductor_gym.errors import ConfigError
from conductor_gym.language.dialogue import Dialogue
from conductor_gym.live.messages import Message

_REPLY = "\u2063reply\u2063"
_NEWS = "\u2063news\u2063"


@dataclass(frozen=True)
class EpisodeTokens:
    """One episode.

    Attributes:
        ids: All tokens, up to the end of the last reply.
        mask: 1 for the tokens of the model's replies, each with the token that ends it, else 0.
        prompt: How many tokens come before the first reply.
    """

    ids: list[int]
    mask: list[int]
    prompt: int


class ChatTokens:
    """How chats become tokens, for one tokenizer.

    Args:
        tokenizer: Of Hugging Face, with a chat template.

    Attributes:
        end: The token that ends a reply.

    Raises:
        ConfigError: No chat template, or one that changes what stood before when a chat goes on.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        if not tokenizer.chat_template:
            raise ConfigError("the model has no chat template: give one tuned for chat.")
        chat = [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "A task."},
        ]
        first = self._text(chat)
        chat += [
            {"role": "assistant", "content": _REPLY},
            {"role": "user", "content": _NEWS},
        ]
        second = self._text(chat)
        chat += [
            {"role": "assistant", "content": _REPLY},
            {"role": "user", "content": _NEWS},
        ]
        third = self._text(chat)
        between, _, after = second[len(first) + len(_REPLY) :].partition(_NEWS)
        said = f"{_REPLY}{between}{_NEWS}{after}"
        if second != first + said or third != second + said:
            raise ConfigError(
                "the model's chat template changes what stood before when a chat goes on, so an "
                "episode is not one sequence. Take a model whose template does not, such as "
                "SmolLM2 or Qwen2.5."
            )
        self._between, self._after = between, after
        self.end = self._encode(between)[0]

    def prompt(self, messages: tuple[Message, ...]) -> list[int]:
        """Tokens of a chat whose last message is the environment's, up to where a reply begins."""
        return self._encode(self._text([message._asdict() for message in messages]))

    def reply(self, text: str) -> list[int]:
        """Tokens of a reply, the one that ends it included."""
        return [*self._encode(text), self.end]

    def news(self, text: str) -> list[int]:
        """Tokens of what came back, behind a reply's end and up to where the next begins."""
        return self._encode(f"{self._between}{text}{self._after}")[1:]

    def read(self, tokens: list[int]) -> str:
        """Text of a reply's tokens."""
        return self._tokenizer.decode(tokens, skip_special_tokens=True)

    def _text(self, chat: list[dict[str, str]]) -> str:
        return self._tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)

    def _encode(self, text: str) -> list[int]:
        return self._tokenizer(text, add_special_tokens=False)["input_ids"]


def episode_tokens(dialogue: Dialogue, chat: ChatTokens) -> EpisodeTokens:
    """An episode so far; what came back after the last reply is left out.

    Args:
        dialogue: With at least one reply.
        chat: The model's way with chats.
    """
    replies = [i for i, message in enumerate(dialogue.messages) if message.role == "assistant"]
    ids = chat.prompt(dialogue.messages[: replies[0]])
    mask, prompt = [0] * len(ids), len(ids)
    for i in replies:
        if i > replies[0]:
            news = chat.news(dialogue.messages[i - 1].content)
            ids, mask = ids + news, mask + [0] * len(news)
        reply = chat.reply(dialogue.messages[i].content)
        ids, mask = ids + reply, mask + [1] * len(reply)
    return EpisodeTokens(ids, mask, prompt)
