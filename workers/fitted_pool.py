"""A simulated pool from a fit: what the table tells is fitted, the rest is assumed and says so."""

from pathlib import Path
from typing import Any

import numpy as np

from conductor_gym.workers.calibration import MOST_SKEW
from conductor_gym.workers.fitting import Z95, Fitted
from conductor_gym.workers.measures_fit import Estimate
from conductor_gym.workers.pool import FittedOn, Pool, WorkerCard, end_points, load_pool
from conductor_gym.workers.tetrachoric import Array
from conductor_gym.workers.text_fit import TextFunction

ASSUMED_FROM = "paper"
"""Shipped pool whose assumed parameters stand in for what single calls cannot tell."""
ATTRACTOR = {"low": 0.7, "mid": 0.4, "high": 0.1}
VERIFY_GAP = {"low": 0.3, "mid": 0.6, "high": 0.9}
SPEED = {"tokens_per_second": 50.0, "ttft_seconds": 0.7, "ttft_sigma": 0.5}
OUTPUT_TOKENS, TOKEN_SIGMA = 300.0, 0.5
"""Where a table counts no tokens (assumed)."""
MOST_SHARED = 0.9999
SMALLEST_RHO = 1e-6
"""Relative loadings need one above 0."""


def _assumed(value: float, note: str) -> dict[str, Any]:
    return {"low": value, "mid": value, "high": value, "source": "assumed", "note": note}


def _fitted(
    value: float, low: float, high: float, note: str, least: float = 0.0, most: float = 1.0
) -> dict[str, Any]:
    kept = [round(min(most, max(least, number)), 5) for number in (value, low, high)]
    return {"value": kept[0], "low": kept[1], "high": kept[2], "source": "fitted", "note": note}


def _estimate(found: Estimate, note: str) -> dict[str, Any]:
    return _fitted(found.value, found.low, found.high, note)


def _by_name(
    table: Array, names: tuple[str, ...], domains: tuple[str, ...], digits: int
) -> dict[str, dict[str, float]]:
    return {
        name: {domain: round(float(table[w, d]), digits) for d, domain in enumerate(domains)}
        for w, name in enumerate(names)
    }


def _text_function(function: TextFunction, domains: tuple[str, ...]) -> dict[str, Any]:
    return {
        "weights": [round(float(weight), 5) for weight in function.weights],
        "offsets": {d: round(float(o), 5) for d, o in zip(domains, function.offsets, strict=True)},
    }


def _model(fitted: Fitted, origin: str) -> dict[str, Any]:
    base = load_pool(ASSUMED_FROM)
    model: dict[str, Any] = base.model.model_dump(exclude_none=True) if base.model else {}
    for parameter in model.values():
        parameter["source"] = "assumed"
        parameter["note"] = f"borrowed from pool {base.name}. {parameter.get('note', '')}".strip()
    if fitted.kappa is not None:
        model["kappa"] = _estimate(fitted.kappa, f"{origin}: repeated attempts of one worker")
    persistent = model["kappa"]
    kappa = float(persistent["value" if "value" in persistent else "mid"])
    spread = Z95 * fitted.skew.error
    model["difficulty_skew"] = _fitted(
        fitted.skew.value,
        fitted.skew.value - spread,
        fitted.skew.value + spread,
        f"{origin}: third moment of how many workers are right, shrunk by its standard error",
        -MOST_SKEW,
        MOST_SKEW,
    )
    text = fitted.text
    model["r2_delta"] = _fitted(
        text.r2_delta,
        text.r2_delta - Z95 * text.r2_delta_error,
        text.r2_delta + Z95 * text.r2_delta_error,
        f"{origin}: share of difficulty beyond the domain that 32 hashed word features and 8 "
        "surface features tell, out of fold",
    )
    own = min(0.95, text.r2_own / max(kappa, 0.05))
    error = Z95 * text.r2_own_error / max(kappa, 0.05)
    model["r2_eta"] = _fitted(
        own, own - error, own + error, f"{origin}: likewise for workers' own trouble, over kappa"
    )
    if fitted.tokens is None:
        model["token_sigma"] = _assumed(TOKEN_SIGMA, "the table counts no tokens")
    else:
        sigma = round(fitted.tokens.sigma, 3)
        model["token_sigma"] = {"value": sigma, "source": "fitted", "note": origin}
    return model


def _domains(fitted: Fitted, domains: tuple[str, ...], origin: str) -> dict[str, Any]:
    tables: dict[str, Any] = {}
    for d, domain in enumerate(domains):
        spread = Z95 * float(fitted.rho_error[d])
        rho = float(fitted.rho[d])
        attractor: dict[str, Any] = {**ATTRACTOR, "source": "assumed"}
        attractor["note"] = "the table tells no two wrong answers apart"
        if fitted.attractor is not None:
            found, pairs = fitted.attractor[d]
            attractor = _estimate(found, f"{origin}: {pairs} pairs of wrong answers")
        tables[domain] = {
            "rho": _fitted(
                rho,
                rho - spread,
                rho + spread,
                f"{origin}: mean share of a worker's variance that is shared; interval from a "
                "bootstrap over queries",
                SMALLEST_RHO,
                MOST_SHARED,
            ),
            "attractor": attractor,
            "tail": int(fitted.tails[d]),
            "verify_gap": {**VERIFY_GAP, "source": "assumed", "note": "needs calls that verify"},
        }
    return tables


def _loadings(fitted: Fitted, names: tuple[str, ...], domains: tuple[str, ...]) -> dict[str, Any]:
    shared = fitted.shared.loadings
    return {
        name: {
            domain: [
                round(float(a), 4)
                for a in shared[d, w] / np.sqrt(max(float(fitted.rho[d]), SMALLEST_RHO))
            ]
            for d, domain in enumerate(domains)
        }
        for w, name in enumerate(names)
    }


FITTED_SPEED = "; speed fitted to recorded seconds"


def _workers(name: str, cards: tuple[WorkerCard, ...], fitted: Fitted) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for w, card in enumerate(cards):
        row = card.model_dump(exclude_none=True)
        if card.live is None:  # what a live worker said hangs on its uid
            row["uid"] = f"{name}/{card.name}"
        if fitted.latency is not None:
            row |= {
                "tokens_per_second": round(float(fitted.latency.tokens_per_second[w]), 3),
                "ttft_seconds": round(float(fitted.latency.ttft_seconds[w]), 4),
                "ttft_sigma": round(float(fitted.latency.ttft_sigma[w]), 3),
                "note": card.note.removesuffix(FITTED_SPEED) + FITTED_SPEED,
            }
        else:
            row = SPEED | row | {"note": f"{card.note}; speed is assumed, no latency is recorded"}
        rows.append(row)
    return rows


def fitted_pool(
    name: str, recorded: Pool, domains: tuple[str, ...], fitted: Fitted, fitted_on: FittedOn
) -> Pool:
    """Put a fit into a pool file's form.

    Args:
        name: Of the new pool.
        recorded: The pool whose outcomes were fitted; workers and prices come from it.
        domains: Names of the domains.
        fitted: The fit.
        fitted_on: What was fitted.
    """
    names = recorded.worker_names
    recording = Path(recorded.recording or "").name  # of a journal: without its folders
    origin = f"{fitted_on.queries} queries of {recording}, split {fitted_on.split}"
    cap = max(end_points(recorded.output_cap))
    if fitted.tokens is None:
        cap = max(cap, 4096.0)
        tokens = np.full((len(names), len(domains)), OUTPUT_TOKENS)
        token_note = "the table counts no tokens"
    else:
        tokens, token_note = np.minimum(fitted.tokens.means, cap), origin
    shared = fitted.shared
    failures = fitted.failures
    graded = f"; graded between 0 and 1: {', '.join(fitted.graded)}" if fitted.graded else ""
    values: dict[str, Any] = {
        "name": name,
        "title": f"{len(names)} workers fitted to {origin} (simulated)",
        "backend": "simulated",
        "prices_as_of": recorded.prices_as_of,
        "output_cap": recorded.output_cap.model_dump(exclude_none=True)
        if cap == max(end_points(recorded.output_cap))
        else _assumed(cap, "the table counts no tokens"),
        "overhead_tokens": recorded.overhead_tokens.model_dump(exclude_none=True),
        "accuracy": {
            "source": "fitted",
            "note": f"{origin}{graded}",
            "values": _by_name(fitted.accuracy, names, domains, 5),
            "standard_errors": _by_name(fitted.accuracy_error, names, domains, 5),
        },
        "loadings": {
            "source": "fitted",
            "note": f"{origin}: tetrachoric correlations of pairs, {shared.loadings.shape[2]} "
            f"factors, relative to sqrt(rho). Weighted root mean square residual "
            f"{shared.residual:.3f}; pairs differ by {shared.pair_spread:.3f} on all domains and "
            f"by {shared.domain_spread:.3f} between domains",
            "values": _loadings(fitted, names, domains),
            "standard_errors": {
                n: round(float(e), 4) for n, e in zip(names, fitted.loading_error, strict=True)
            },
        },
        "output_tokens": [
            {
                "source": "assumed" if fitted.tokens is None else "fitted",
                "note": token_note,
                "values": _by_name(tokens, names, domains, 1),
            }
        ],
        "format_failure": {
            "default": _assumed(0.0, "not visible in the table; included in the accuracies"),
        },
        "confidence_bias": {"default": _assumed(0.8, "no confidence is recorded")},
        "model": _model(fitted, origin),
        "domains": _domains(fitted, domains, origin),
        "workers": _workers(name, recorded.workers, fitted),
        "fitted_on": fitted_on.model_dump(),
        "limits": {who: limit.model_dump() for who, limit in recorded.limits.items()},
        "journal": recorded.journal,
    }
    if failures.any():
        values["format_failure"]["exceptions"] = {
            worker: {
                domain: {"value": round(float(failures[w, d]), 5), "source": "fitted"}
                for d, domain in enumerate(domains)
            }
            for w, worker in enumerate(names)
            if failures[w].any()
        }
    if fitted.text.delta is not None or fitted.text.own is not None:
        delta, own = fitted.text.delta, fitted.text.own or ()
        values["text"] = {
            "source": "fitted",
            "note": f"{origin}: ridge regression, variance 1 over these queries",
            "delta": None if delta is None else _text_function(delta, domains),
            "eta": {n: _text_function(f, domains) for n, f in zip(names, own, strict=bool(own))},
        }
    return Pool.model_validate(values)
