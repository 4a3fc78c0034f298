"""An episode of workflows as a chat: each workflow is a reply, then what its steps came to."""

from conductor_gym.language.dialogue import Dialogue, result_text, task_text
from conductor_gym.language.instructions import instructions
from conductor_gym.language.lines import Refusal
from conductor_gym.language.parse_line import WORDS
from conductor_gym.language.workflow import write_workflow
from conductor_gym.language.workflow_run import WorkflowRunner
from conductor_gym.live.messages import Message

_STEP_CHARACTERS = 1024
"""Most of a step's line and result, without its words."""


def workflow_dialogue(runner: WorkflowRunner, slot: int) -> Dialogue:
    """The chat of one slot's episode so far.

    Args:
        runner: The workflows.
        slot: Whose.
    """
    engine, options, offer = runner.engine, runner.options, runner.offer(slot)
    messages = [
        Message("system", instructions(options, offer)),
        Message("user", task_text(engine, slot, options, offer)),
    ]
    letters: dict[tuple[int, int], str] = {}
    for past in runner.rounds[slot]:
        if isinstance(past.workflow, Refusal):
            messages.append(Message("assistant", "(unreadable)"))
            messages.append(Message("user", f"unreadable: {past.workflow.reason}"))
            continue
        messages.append(Message("assistant", write_workflow(past.workflow)))
        lines = [
            f"{t + 1}: {result_text(engine, slot, t, letters, options)}"
            for t in range(past.first, past.first + past.made)
        ]
        if past.made < len(past.workflow.steps):
            lines.append("The other steps were not made: no money is left.")
        if not offer.recursive:
            lines.append("Your next workflow is the last.")
        messages.append(Message("user", "\n".join(lines)))
    return Dialogue(tuple(messages), offer)


def longest_dialogue(runner: WorkflowRunner) -> int:
    """Most characters of a dialogue, generously."""
    world, options = runner.engine.world, runner.options
    names = [worker.name for worker in world.pool.workers]
    told = sum(len(name) + 64 for name in names) + max(len(name) for name in world.data.domains)
    steps = (WORDS + _STEP_CHARACTERS) * world.config.max_steps
    return 4096 + told + options.query_characters + steps
