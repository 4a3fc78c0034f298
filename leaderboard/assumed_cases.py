"""The cases over which a prediction's range is taken. Fixed before any prediction was compared.

What is assumed about acting on answers is not known to a number, so a prediction is a range: the
smallest and the largest accuracy over these cases, beside the one at mid.

- `mid`: every assumed parameter at mid.
- `least`, `most`: every group below at its `low` or its `high` at once. Alone these two are not
  enough. Effects of groups that point in opposite ways for a method cancel in them, and a method
  need not be monotone in a parameter (more weight on votes helps where the plurality is right).
- `GROUP low`, `GROUP high`: one group moved, the others at mid.

Moving one group at a time from mid still leaves out mixed corners; with ten groups there would be
1,024. Parameters that push every method the same way for the same reason are moved as one group.

Two things are held: every worker's published accuracy (by the probit), and the published oracle
where there is one: rho is solved again from it at the case's format failures, since a pair of the
two that misses the oracle contradicts what is known. Two things move beyond what a pool's file
calls low and high:

- rho, over the interval that the oracle's rounding leaves; where neither an oracle is published nor
  the file gives a range, over the span of the benchmarks that have a solved one.
- The tail, which a file gives as one number: where wrong answers outside the attractor never
  coincide (0), `low` lets them fall on two answers as in multiple choice with four options.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from conductor_gym.data_files import StrictModel
from conductor_gym.workers.calibration import solve_rho
from conductor_gym.workers.pool import Assumed, Known, Pool, resolve

End = Literal["low", "mid", "high"]
COINCIDING_TAIL = 2

VOTING, MIXTURE, CONSENSUS = "plurality-of-seven", "moa-8-calls", "consensus-5"
REFLECTION, GROWING = "self-reflection-5", "best-of-5-growing-context"
INFORMED, CLAIRVOYANT = "informed", "clairvoyant"
ALL = frozenset({VOTING, MIXTURE, CONSENSUS, REFLECTION, GROWING, INFORMED, CLAIRVOYANT})
_COUNTING = frozenset({VOTING, MIXTURE, CONSENSUS, GROWING})
_PICKING = frozenset({MIXTURE, GROWING})


@dataclass(frozen=True)
class Group:
    """Parameters that move together.

    Attributes:
        of_model: Names in the pool's `[model]`.
        of_domain: Names in each `[domains.NAME]`.
        touches: Methods whose accuracy it can change; the others keep theirs at mid.
        ends: Ends that differ from mid.
    """

    of_model: tuple[str, ...] = ()
    of_domain: tuple[str, ...] = ()
    touches: frozenset[str] = ALL
    ends: tuple[End, ...] = ("low", "high")


GROUPS: dict[str, Group] = {
    "rho": Group(),
    "format_failure": Group(),
    "attractor": Group(of_domain=("attractor",), touches=_COUNTING),
    "tail": Group(touches=_COUNTING, ends=("low",)),
    # One attempt each has the same law whatever persists; who judges by its own margin has not.
    "kappa": Group(of_model=("kappa",), touches=ALL - {VOTING, CLAIRVOYANT}),
    "distraction": Group(of_model=("distraction",), touches=frozenset({REFLECTION, GROWING})),
    "discernment": Group(
        of_model=("verify_slope", "verify_seen"), of_domain=("verify_gap",), touches=_PICKING
    ),
    "aggregate_votes": Group(of_model=("aggregate_votes",), touches=_PICKING),
    "revise_same_luck": Group(of_model=("revise_same_luck",), touches=frozenset({REFLECTION})),
    "revise_own": Group(of_model=("revise_own",), touches=frozenset({REFLECTION})),
}


@dataclass(frozen=True)
class Case:
    """One choice of the assumed parameters.

    Attributes:
        name: As in the module's docstring.
        ends: End of each group that is moved; None moves every assumed parameter of the file.
        everything: End of all parameters at once, `mid` where single groups are moved.
    """

    name: str
    ends: dict[str, End]
    everything: End = "mid"

    def touches(self, method: str) -> bool:
        """Whether a method must be played in this case: always, unless groups alone are moved."""
        alone = self.everything == "mid" and bool(self.ends)
        return not alone or any(method in GROUPS[group].touches for group in self.ends)


MID = Case("mid", {})
TOGETHER = (
    Case("least", dict.fromkeys(GROUPS, "low"), "low"),
    Case("most", dict.fromkeys(GROUPS, "high"), "high"),
)
ONE_AT_A_TIME = tuple(
    Case(f"{name} {end}", {name: end}) for name, group in GROUPS.items() for end in group.ends
)


def _at(number: Known | Assumed, end: End) -> Known | Assumed:
    """The same number with that end as its mid."""
    if isinstance(number, Known):
        return number
    return number.model_copy(update={"mid": getattr(number, end)})


def pool_in(pool: Pool, case: Case) -> Pool:
    """A pool whose mid is the given case.

    Args:
        pool: A simulated pool with all loadings 1.
        case: The case.
    """

    def end_of(group: str) -> End:
        return case.ends.get(group, case.everything)

    by_name: dict[str, End] = {
        name: end_of(group)
        for group, card in GROUPS.items()
        for name in (*card.of_model, *card.of_domain)
    }

    def moved(section: StrictModel) -> StrictModel:
        changes = {
            name: _at(number, by_name.get(name, case.everything))
            for name, number in section
            if isinstance(number, Known | Assumed)
        }
        return section.model_copy(update=changes)

    failures = pool.format_failure
    if failures is not None:
        end = end_of("format_failure")
        exceptions = {
            worker: {domain: _at(number, end) for domain, number in row.items()}
            for worker, row in failures.exceptions.items()
        }
        default = _at(failures.default, end)
        failures = failures.model_copy(update={"default": default, "exceptions": exceptions})
    model = moved(pool.model) if pool.model is not None else None
    changed = pool.model_copy(update={"format_failure": failures, "model": model})

    rho_of = _rho_of(changed, end_of("rho"))
    domains: dict[str, StrictModel] = {}
    for name, card in pool.domains.items():
        tail = COINCIDING_TAIL if end_of("tail") == "low" and card.tail == 0 else card.tail
        domains[name] = moved(card).model_copy(update={"rho": rho_of(name), "tail": tail})
    return changed.model_copy(update={"domains": domains})


def _rho_of(pool: Pool, end: End) -> Callable[[str], Known | Assumed]:
    """Rho of each domain at an end; `low` is the largest, at which workers err together most."""

    def solved(domain: str, oracle: float) -> float:
        accuracy = pool.accuracy.values if pool.accuracy else {}
        numbers = [pool.failure(worker, domain) for worker in pool.worker_names]
        return solve_rho(
            oracle,
            [accuracy[worker][domain] for worker in pool.worker_names],
            [0.0 if number is None else resolve(number, "mid") for number in numbers],
        )

    spans = {name: card.published_oracle for name, card in pool.domains.items()}
    span = [resolve(pool.domains[name].rho, "mid") for name, oracle in spans.items() if oracle]

    def rho_of(domain: str) -> Known | Assumed:
        rho, oracle = pool.domains[domain].rho, spans[domain]
        if oracle is not None:
            at = {"low": oracle.low, "mid": oracle.value, "high": oracle.high}[end]
            value = solved(domain, oracle.value if at is None else at)
            return Known(value=value, source="fitted")
        if isinstance(rho, Known) or end == "mid":
            return rho
        if rho.low == rho.high and span:
            return rho.model_copy(update={"mid": max(span) if end == "low" else min(span)})
        return _at(rho, end)

    return rho_of
