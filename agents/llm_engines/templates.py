"""Chats as tokens, for tokenizers whose template knows no system messages too."""

from typing import Any

from conductor_gym.agents.llm_engines.protocol import Chat
from conductor_gym.errors import ConfigError, one_line


def encode_chat(tokenizer: Any, chat: Chat) -> list[int]:
    """Tokens of a chat, up to where the reply begins.

    Args:
        tokenizer: Of transformers, with a chat template.
        chat: System message, task, and then by turns.

    Raises:
        ConfigError: The template takes no such chat.
    """
    try:
        return _tokens(tokenizer, chat)
    except Exception as first:  # a template raises anything; some know no system messages
        system, task, *later = chat
        try:
            merged = task._replace(content=f"{system.content}\n\n{task.content}")
            return _tokens(tokenizer, (merged, *later))
        except Exception:
            raise ConfigError(
                f"the model's chat template takes no conductor's chat: {one_line(first)}"
            ) from None


def _tokens(tokenizer: Any, chat: Chat) -> list[int]:
    told = [message._asdict() for message in chat]
    text = tokenizer.apply_chat_template(told, add_generation_prompt=True, tokenize=False)
    return tokenizer(text, add_special_tokens=False)["input_ids"]
