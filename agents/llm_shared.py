"""Reading what sequences have in common once, with gradients; imported late.

All chats of a pool begin with the same table of workers, and rollouts of a group with the same
prompt. On a CPU, where a token costs what it costs, reading that once a batch saves about half.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache


def reply_logits(model: Any, rows: Sequence[Tensor], keep: int) -> Tensor:
    """Logits [n, keep, vocabulary] from which the last `keep` tokens of each row are told.

    Args:
        model: Causal, without dropout.
        rows: int64 [length] each, all longer than `keep` + 2.
        keep: How many positions, counted from the rows' ends.
    """
    shortest = min(len(row) for row in rows)
    heads = torch.stack([row[: shortest - keep] for row in rows])
    differs = (heads != heads[0]).any(dim=0)
    common = int(differs.int().argmax()) if bool(differs.any()) else heads.shape[1]
    common = max(1, min(common, shortest - keep - 1))
    cache: Any = DynamicCache()
    model(input_ids=heads[:1, :common], past_key_values=cache, use_cache=True, logits_to_keep=1)
    n = len(rows)
    cache.batch_select_indices(torch.zeros(n, dtype=torch.long))
    rest = [row[common:] for row in rows]
    longest = max(len(row) for row in rest)
    tokens = torch.zeros((n, longest), dtype=torch.long)
    real = torch.zeros((n, longest), dtype=torch.long)
    for i, row in enumerate(rest):
        tokens[i, longest - len(row) :] = row
        real[i, longest - len(row) :] = 1
    outputs = model(
        input_ids=tokens,
        attention_mask=torch.cat([torch.ones((n, common), dtype=torch.long), real], dim=1),
        position_ids=(common + real.cumsum(dim=1) - 1).clamp(min=0),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=keep + 1,
    )
    return outputs.logits[:, :-1]


def completion_logprobs(
    model: Any, tokens: Tensor, real: Tensor, keep: int, temperature: float, wanted: Tensor
) -> tuple[Tensor, Tensor]:
    """Log-probabilities and entropies [n, keep] of the last tokens, equal prompts read once.

    The vocabulary is multiplied out for wanted tokens alone: a policy's own are a fifth of an
    episode, and that product is most of what a small model computes.

    Args:
        model: Causal, without dropout.
        tokens: int64 [n, length], padded in front of the prompts and behind the completions.
        real: int64 [n, length], 0 where padded.
        keep: Tokens of the completions.
        temperature: What logits are divided by.
        wanted: bool [n, keep], others are 0.
    """
    padded = int(real.any(dim=0).int().argmax())
    tokens, real = tokens[:, padded:], real[:, padded:]
    read = tokens.shape[1] - keep - 1  # all of the prompt but its last token
    heads = torch.cat([tokens[:, :read], real[:, :read]], dim=1)
    library: Any = torch
    different, row_of = library.unique_consecutive(heads, dim=0, return_inverse=True)
    cache: Any = DynamicCache()
    model(
        input_ids=different[:, :read],
        attention_mask=different[:, read:],
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    cache.batch_select_indices(row_of)
    outputs = model(
        input_ids=tokens[:, read:-1],
        attention_mask=real[:, :-1],
        past_key_values=cache,
        use_cache=True,
        output_hidden_states=True,
        logits_to_keep=1,
    )
    states = outputs.hidden_states[-1][wanted]
    logits = model.get_output_embeddings()(states).float() / temperature
    every = torch.log_softmax(logits, dim=-1)
    with torch.no_grad():
        spread = -(every.exp() * every).sum(dim=-1)
    said = every.gather(1, tokens[:, read + 1 :][wanted][:, None])[:, 0]
    nothing = said.new_zeros(wanted.shape)
    return nothing.masked_scatter(wanted, said), nothing.masked_scatter(wanted, spread)
