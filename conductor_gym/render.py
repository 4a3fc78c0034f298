"""An episode as a person would want to read it."""

from typing import Any

from conductor_gym.engine import Engine
from conductor_gym.reward import WEIGHT_SCALE, utility
from conductor_gym.types import (
    CONTEXT_LEVELS,
    INVALID_PENALTY,
    MICROSECONDS,
    MISSING,
    NANO_USD,
    RULE_TEXTS,
    Backend,
    Rule,
    Status,
    Subtask,
)

_PROMPT_CHARACTERS = 400
_KINDS: dict[Backend, str] = {
    "simulated": "simulated workers",
    "recorded": "recorded outcomes",
    "live": "live workers",
}

Letters = dict[tuple[int, int], str]
"""Letters of answers by (part, identity), in the order in which each part's first appear."""


def tell_episode(engine: Engine, slot: int) -> list[str]:
    """Lines that tell one slot's episode so far.

    Answers are lettered in the order they first appear; whether one is right is told at the end.
    """
    world = engine.world
    episode = engine.episodes[slot]
    query = int(episode["query"])
    domain = world.data.domains[int(world.data.queries["domain"][query])]
    kind = _KINDS[world.backend]
    weight = int(episode["cost_weight"]) / WEIGHT_SCALE
    lines = [
        f"Query {world.data.uids[query]} ({domain}), pool {world.pool.name}, {kind}",
        f"  stream {episode['stream']}, index {episode['index']}; a cent costs {weight:g} points; "
        f"budget ${world.config.budget_usd:.2f}",
    ]
    if world.data.prompts is not None:
        text = " ".join(world.data.prompts[query].split())
        lines.append(
            "  " + (text if len(text) <= _PROMPT_CHARACTERS else text[:_PROMPT_CHARACTERS] + " ...")
        )
    row = world.tables.queries[query]
    if row["documents"]:
        lines.append(f"  documents: {int(row['documents']):,} tokens")
    letters: Letters = {}
    lines.extend(
        f"  {t + 1:2d}. " + _tell_step(engine, slot, t, letters)
        for t in range(int(episode["steps"]))
    )
    if episode["over"]:
        lines.append(_tell_end(engine, slot, letters))
    return lines


def _answer(letters: Letters, part: int, answer: int) -> str:
    """The name of an answer, such as ``answer A`` or ``answer A to part 2``."""
    if (part, answer) not in letters:
        round_, letter = divmod(sum(key[0] == part for key in letters), 26)
        letters[part, answer] = chr(ord("A") + letter) + (str(round_) if round_ else "")
    name = f"answer {letters[part, answer]}"
    return name if part < 0 else f"{name} to part {part + 1}"


def _tell_step(engine: Engine, slot: int, t: int, letters: Letters) -> str:
    step: Any = engine.state.steps[slot, t]
    known = bool(engine.world.tables.rules[0]["identity"])
    if step["rule"] == Rule.UNREADABLE:
        return f"invalid, {RULE_TEXTS[Rule.UNREADABLE]} (-{INVALID_PENALTY} points)"
    subtask = Subtask(int(step["subtask"])).name.lower()
    names = engine.world.pool.worker_names
    worker = int(step["worker"])
    who = names[worker] if 0 <= worker < len(names) else f"slot {worker}"
    if step["rule"]:
        rule = RULE_TEXTS[Rule(int(step["rule"]))]
        return f"{subtask}: invalid, {rule} (-{INVALID_PENALTY} points)"
    if int(step["subtask"]) == Subtask.SUBMIT:
        return "submit"
    part = int(step["part"])
    if int(step["subtask"]) == Subtask.VOTE:
        return f"vote: the plurality is {_answer(letters, part, int(step['answer']))}"
    status = Status(int(step["status"]))
    context = CONTEXT_LEVELS[int(step["level"])]
    asked = f"{who:<28} {subtask}" + (f" (context {context:,} tokens)" if context else "")
    if status == Status.UNAFFORDABLE:
        return f"{asked}: not made, it could cost more than is left"
    if status != Status.OK:
        result = status.name.lower()
    elif step["verdict"] >= 0:
        about = _answer(letters, part, int(step["target"]))
        result = f"{'accepts' if step['verdict'] else 'rejects'} {about}"
    elif int(step["subtask"]) == Subtask.PLAN:
        query = int(engine.episodes[slot]["query"])
        result = f"opens {int(engine.world.tables.queries[query]['parts'])} parts"
    elif int(step["subtask"]) == Subtask.CONDENSE:
        result = "condensed the documents"
    else:
        result = _answer(letters, part, int(step["answer"])) if known else "an answer"
        if step["confidence"] >= 0:
            result += f", confidence {float(step['confidence']):.2f}"
    cost = int(step["cost"]) / NANO_USD
    seconds = int(step["latency"]) / MICROSECONDS
    timing = f", {seconds:.1f} s" if engine.world.tables.rules[0]["latency_known"] else ""
    return f"{asked}: {result}; {int(step['tokens_out']):,} tokens, ${cost:.5f}{timing}"


def _tell_end(engine: Engine, slot: int, letters: Letters) -> str:
    episode = engine.episodes[slot]
    current = int(episode["current"])
    quality = float(episode["quality"])
    cost, seconds = int(episode["cost"]) / NANO_USD, int(episode["latency"]) / MICROSECONDS
    reached = utility(
        quality,
        cost,
        seconds,
        int(episode["cost_weight"]) / WEIGHT_SCALE,
        int(episode["latency_weight"]) / WEIGHT_SCALE,
    )
    if current < 0:
        said = "Nothing was submitted"
    else:
        answer = int(engine.state.steps[slot, current]["answer"])
        named = letters.get((MISSING, answer))
        said = f"Answer {named}" if named and answer >= 0 else "The answer"
        grade = "right" if quality == 1 else "wrong" if quality == 0 else f"graded {quality:.2f}"
        said += f" was submitted and is {grade}"
    return f"  {said}. Cost ${cost:.5f}, utility {float(reached):+.4f}."
