"""A language model that reads episodes as chats and writes what is to be done next.

`conductor-gym run --agent llm --model MODEL`; what MODEL may be: llm_settings.py.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from conductor_gym.agents.base import Actions, Observations, Setting
from conductor_gym.agents.llm_engines.open import open_engine
from conductor_gym.agents.llm_engines.protocol import Chat
from conductor_gym.agents.llm_examples import examples
from conductor_gym.agents.llm_settings import read_conductor
from conductor_gym.agents.llm_weights import weights_hash
from conductor_gym.language.budget import within
from conductor_gym.language.dialogue import Dialogue
from conductor_gym.language.grammar import ActionGrammar, Grammar
from conductor_gym.language.lines import Line, Refusal, as_action
from conductor_gym.language.offer import Offer
from conductor_gym.language.parse import parse_action
from conductor_gym.language.workflow import Workflow, parse_workflow
from conductor_gym.language.workflow_grammar import WorkflowGrammar
from conductor_gym.live.messages import Message
from conductor_gym.types import UNREADABLE_ACTION

REPAIR = "That could not be read: {reason}. Reply with {what} and nothing else."
REPLIES = {"text": "one line", "workflow": "a workflow"}

Decided = Line | Workflow | Refusal


class LLMConductor:
    """Asks its model once a decision, and once more where a free reply could not be read.

    Args:
        setting: What it is built for.
        model: As `--model` names it.

    Attributes:
        language: How episodes have to be told to it.
        name: Of its row.
        batch: Episodes that are best played side by side.
        card: How the model was made, and how it is asked.
    """

    def __init__(self, setting: Setting, model: Path) -> None:
        conductor = read_conductor(model)
        settings = conductor.settings
        self.language = conductor.language
        self.name = conductor.name
        self.batch = settings.batch
        self.card: dict[str, Any] = conductor.card | {
            "algorithm": "llm",
            "name": conductor.name,
            "language": self.language.as_dict(),
            "asked": settings.model_dump(exclude={"language", "model", "name", "base_url"}),
        }
        if "base" not in self.card:
            self.card["base"] = _told_base(conductor.base)
        self._settings = settings
        self._examples = examples(settings.examples, self.language.interface)
        self.engine = open_engine(conductor, setting.seed)

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`; reads ``observation["dialogue"]`` and notes own tokens there.

        Returns:
            int64 [n, 3], `UNREADABLE_ACTION` where no reply could be read.
        """
        dialogues = list(cast("Sequence[Dialogue]", observation["dialogue"]))
        table = np.empty((len(dialogues), 3), np.int64)
        for row, (dialogue, line) in enumerate(
            zip(dialogues, self._decide(dialogues), strict=True)
        ):
            if isinstance(line, Line):
                dialogue.words = line.words
                table[row] = as_action(line, dialogue.offer)
            else:
                table[row] = UNREADABLE_ACTION
        return table

    def plan(self, dialogues: list[Dialogue]) -> list[Workflow | Refusal]:
        """One workflow for each dialogue, a refusal where none could be read.

        Args:
            dialogues: Of running episodes; own tokens are noted there.
        """
        return [one for one in self._decide(dialogues) if not isinstance(one, Line)]

    def _decide(self, dialogues: list[Dialogue]) -> list[Decided]:
        """What is to be done next in each episode."""
        chats = [self.chat(dialogue) for dialogue in dialogues]
        said = self._replies(dialogues, chats)
        read = [self._read(text, one.offer) for text, one in zip(said, dialogues, strict=True)]
        if self._settings.decoding == "constrained":
            return read
        again = [i for i, line in enumerate(read) if isinstance(line, Refusal)]
        repaired = self._replies(
            [dialogues[i] for i in again],
            [self._told_why(chats[i], said[i], read[i]) for i in again],
        )
        for i, text in zip(again, repaired, strict=True):
            read[i] = self._read(text, dialogues[i].offer)
        return read

    def _read(self, text: str, offer: Offer) -> Decided:
        text_interface = self.language.interface == "text"
        return parse_action(text, offer) if text_interface else parse_workflow(text, offer)

    def _grammar(self, offer: Offer) -> Grammar:
        text_interface = self.language.interface == "text"
        return ActionGrammar(offer) if text_interface else WorkflowGrammar(offer)

    def _told_why(self, chat: Chat, said: str, refusal: Decided) -> Chat:
        """The chat, what was said and why it could not be read."""
        reason = refusal.reason if isinstance(refusal, Refusal) else ""
        repair = REPAIR.format(reason=reason, what=REPLIES[self.language.interface])
        return (*chat, Message("assistant", said), Message("user", repair))

    def _replies(self, dialogues: Sequence[Dialogue], chats: Sequence[Chat]) -> list[str]:
        grammars = None
        if self._settings.decoding == "constrained":
            grammars = [self._grammar(dialogue.offer) for dialogue in dialogues]
        replies = self.engine.reply(chats, grammars, self._settings.max_new_tokens)
        for dialogue, reply in zip(dialogues, replies, strict=True):
            dialogue.tokens_in += reply.tokens_in
            dialogue.tokens_out += reply.tokens_out
        return [reply.text for reply in replies]

    def chat(self, dialogue: Dialogue) -> Chat:
        """What the model is shown of an episode, within its budget of tokens."""
        system, *others = dialogue.messages
        told = system._replace(content=system.content + self._examples)
        chat = (told, *others)
        return within(chat, self._settings.max_prompt_tokens, self.engine.count)


def _told_base(base: str) -> dict[str, str]:
    """Name of a model, and the hash of its weights where they lie on this machine."""
    folder = Path(base)
    if not folder.is_dir():
        return {"name": base}
    return {"name": folder.name, "hash": weights_hash(folder)}
