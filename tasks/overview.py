"""What can be told of a suite without making it."""

from collections import Counter
from typing import Any

from conductor_gym.tasks.generate import LEVELS
from conductor_gym.tasks.generated import is_cached
from conductor_gym.tasks.suite import SuiteCard, load_split, load_suite_card


def overview(card: SuiteCard) -> dict[str, Any]:
    """A row of `conductor-gym list suites`; None where it would take reading or making the tasks.

    Args:
        card: A shipped suite.

    Returns:
        ``content`` is `Split.content_hash` by split, as result files hold it.
    """
    domains: list[str] | None = None
    levels: list[str] | None = None
    tasks: dict[str, int] = {}
    by_domain: dict[str, int] | None = None
    cheap = False
    encoder = None
    if card.statistical is not None:
        domains = [domain.name for domain in card.statistical.domains]
        tasks = dict(card.statistical.sizes)
        cheap = True
    elif card.text is not None and card.text.generator is not None:
        made = card.text.generator
        domains, levels = list(made.domains), list(LEVELS)
        counts = made.counts()
        by_domain = {domain: sum(counts[domain].values()) for domain in domains}
        tasks = {split: sum(of[split] for of in counts.values()) for split in made.splits}
        cheap = is_cached(card.name, made, card.text.encoder)
        encoder = card.text.encoder
    elif card.selection is not None:
        of = overview(load_suite_card(card.selection.suite))
        domains, encoder = of["domains"], of["encoder"]
        cheap = of["content"] is not None
        if cheap:
            splits = {name: load_split(card.name, name) for name in card.splits}
            tasks = {name: len(split.uids) for name, split in splits.items()}
            held = Counter(task.domain for split in splits.values() for task in split.tasks)
            by_domain = {domain: held[domain] for domain in domains or () if held[domain]}
    return {
        "suite": card.name,
        "version": card.version,
        "title": card.title,
        "splits": list(card.splits),
        "domains": domains,
        "levels": levels,
        "tasks": tasks or None,
        "tasks_by_domain": by_domain,
        "encoder": encoder,
        "content": {name: load_split(card.name, name).content_hash() for name in card.splits}
        if cheap
        else None,
    }
