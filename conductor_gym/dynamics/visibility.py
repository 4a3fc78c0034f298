"""What a step of a workflow sees of its episode: the rest is hidden for its call, then shown again.

The one transition function reads the state as it is. So what a step does not see is taken out of
the state, the step is made by `apply_outcome` as any other, and what was taken out is put back.
"""

from typing import Any

from conductor_gym.dynamics.call import gives_answer, note_valid
from conductor_gym.dynamics.jit import inner_njit
from conductor_gym.types import MISSING, Status, Subtask

_OK, _MALFORMED = int(Status.OK), int(Status.MALFORMED)
_UNAFFORDABLE = int(Status.UNAFFORDABLE)
_SOLVE, _PLAN = int(Subtask.SOLVE), int(Subtask.PLAN)
_CONDENSE, _VOTE = int(Subtask.CONDENSE), int(Subtask.VOTE)


@inner_njit
def recount(tables: Any, episode: Any, steps: Any, seen: int, chosen: Any) -> None:
    """Work out again from some past steps what an episode keeps of them.

    Of all steps, that is what `apply_outcome` has kept.

    Args:
        tables: Shared `Tables`.
        episode: `EPISODE_DTYPE` record, written.
        steps: `STEP_DTYPE` [max_steps] of the episode.
        seen: Bits of the steps.
        chosen: int64 [max_steps], the step whose answer a vote chose.
    """
    episode.current = MISSING
    episode.condensed = MISSING
    episode.opened = 0
    episode.done = 0
    episode.part_answers[:] = MISSING
    episode.answers = 0
    for t in range(episode.steps):
        step = steps[t]
        if (seen >> t) & 1 == 0 or step.status != _OK:
            continue
        # An answer to a part shows that there are parts.
        if step.subtask == _PLAN or step.part >= 0:
            episode.opened = 1
        if step.subtask == _CONDENSE:
            episode.condensed = t
        answers = gives_answer(step.subtask)
        episode.answers += int(answers)
        if answers or step.subtask == _VOTE:
            at = t if answers else chosen[t]
            if step.part < 0:
                episode.current = at
            else:
                episode.part_answers[step.part] = at
                episode.done = max(episode.done, step.part + 1)
    note_valid(tables, episode)


@inner_njit
def hide_steps(tables: Any, episode: Any, steps: Any, seen: int, chosen: Any, solves: bool) -> None:
    """Make an episode look as one step sees it.

    Past steps that it does not see stay calls that were made, so that a repeated call is a fresh
    attempt, but their outputs, answers and verdicts are gone. A `solve` that sees open parts takes
    the next part after those that steps it does not see have taken.

    Args:
        tables: Shared `Tables`.
        episode: `EPISODE_DTYPE` record, written.
        steps: `STEP_DTYPE` [max_steps] of the episode, those not seen are written.
        seen: Bits of the past steps that it sees.
        chosen: int64 [max_steps], the step whose answer a vote chose.
        solves: Whether it is a `solve`.
    """
    taken = 0
    for t in range(episode.steps):
        step = steps[t]
        made = (step.status >= 0) & (step.status != _UNAFFORDABLE)
        if (seen >> t) & 1 == 0 and made:
            if step.subtask == _SOLVE:
                taken = max(taken, step.part + 1)
            step.status = _MALFORMED
            step.tokens_out = 0
            step.verdict = MISSING
    recount(tables, episode, steps, seen, chosen)
    if solves and episode.opened == 1:
        episode.done = max(episode.done, taken)
        note_valid(tables, episode)
