"""A simulated pool from a recorded one: what the table tells is fitted, the rest stays assumed."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from conductor_gym.workers.fitting import Fitted
from conductor_gym.workers.pool import Pool, end_points, load_pool

ASSUMED_FROM = "paper"
"""Shipped pool whose assumed parameters stand in for what single calls cannot tell."""
ATTRACTOR = {"low": 0.6, "mid": 0.4, "high": 0.2}
VERIFY_GAP = {"low": 0.3, "mid": 0.6, "high": 0.9}
SPEED = {"tokens_per_second": 50.0, "ttft_seconds": 0.7, "ttft_sigma": 0.5}


def _assumed(value: float, note: str) -> dict[str, Any]:
    return {"low": value, "mid": value, "high": value, "source": "assumed", "note": note}


def _by_name(
    table: npt.NDArray[np.float64], names: tuple[str, ...], domains: tuple[str, ...], digits: int
) -> dict[str, dict[str, float]]:
    return {
        name: {domain: round(float(table[w, d]), digits) for d, domain in enumerate(domains)}
        for w, name in enumerate(names)
    }


def token_table(
    tokens: npt.NDArray[np.float64], domain: npt.NDArray[np.int64], domains: int
) -> tuple[npt.NDArray[np.float64], float]:
    """Mean output tokens float64 [workers, domains], and the log-normal spread around them.

    Args:
        tokens: float64 [queries, workers].
        domain: int64 [queries].
        domains: Number of domains.
    """
    means = np.stack([tokens[domain == d].mean(axis=0) for d in range(domains)], axis=1)
    logs = np.log(np.maximum(tokens, 1.0))
    centres = np.stack([logs[domain == d].mean(axis=0) for d in range(domains)])
    spread = float(np.sqrt(np.mean((logs - centres[domain]) ** 2)))
    return np.maximum(means, 1.0), min(spread, 3.0)


def fitted_pool(
    name: str,
    recorded: Pool,
    domains: tuple[str, ...],
    fitted: Fitted,
    mean_tokens: npt.NDArray[np.float64],
    token_sigma: float,
    origin: str,
) -> Pool:
    """Put a fit into a pool file's form.

    Args:
        name: Of the new pool.
        recorded: The pool whose outcomes were fitted.
        domains: Names of the domains.
        fitted: The fit.
        mean_tokens: float64 [workers, domains].
        token_sigma: Log-normal spread of output tokens.
        origin: What was fitted, for the notes.
    """
    base = load_pool(ASSUMED_FROM)
    model: dict[str, Any] = base.model.model_dump(exclude_none=True) if base.model else {}
    for parameter in model.values():
        parameter["note"] = f"borrowed from pool {base.name}. {parameter.get('note', '')}".strip()
    unread = "text is not read yet: a policy learns nothing from it in this pool"
    model |= {
        "r2_delta": _assumed(0.0, unread),
        "r2_eta": _assumed(0.0, unread),
        "token_sigma": {"value": round(token_sigma, 3), "source": "fitted", "note": origin},
    }
    cap = max(end_points(recorded.output_cap))
    names = recorded.worker_names
    note = f"{origin}; speed is assumed, the table has no latency"
    values: Mapping[str, Any] = {
        "name": name,
        "title": f"{len(names)} workers fitted to {origin} (simulated)",
        "backend": "simulated",
        "prices_as_of": recorded.prices_as_of,
        "output_cap": recorded.output_cap.model_dump(exclude_none=True),
        "overhead_tokens": recorded.overhead_tokens.model_dump(exclude_none=True),
        "accuracy": {
            "source": "fitted",
            "note": f"{origin}; format failures are not visible in it and are included",
            "values": _by_name(fitted.accuracy, names, domains, 5),
            "standard_errors": _by_name(fitted.accuracy_error, names, domains, 5),
        },
        "loadings": {
            "source": "fitted",
            "note": f"{origin}: tetrachoric correlations of pairs, root mean square residual "
            f"{fitted.residual:.3f}",
            "values": {n: round(float(a), 4) for n, a in zip(names, fitted.loadings, strict=True)},
        },
        "output_tokens": [
            {
                "source": "fitted",
                "note": origin,
                "values": _by_name(np.minimum(mean_tokens, cap), names, domains, 1),
            }
        ],
        "format_failure": {"default": _assumed(0.0, "not visible in the table")},
        "confidence_bias": {"default": _assumed(0.8, "stated confidence is too high")},
        "model": model,
        "domains": {
            domain: {
                "rho": {
                    "value": round(float(fitted.rho[d]), 4),
                    "low": round(float(fitted.rho_low[d]), 4),
                    "high": round(float(fitted.rho_high[d]), 4),
                    "source": "fitted",
                    "note": f"{origin}; interval from a bootstrap over queries",
                },
                "attractor": {**ATTRACTOR, "source": "assumed"},
                "tail": 0,
                "verify_gap": {**VERIFY_GAP, "source": "assumed"},
            }
            for d, domain in enumerate(domains)
        },
        "workers": [
            {**SPEED, **card.model_dump(exclude_none=True), "uid": f"{name}/{card.name}"}
            | {"note": f"{card.note}; {note}"}
            for card in recorded.workers
        ],
    }
    return Pool.model_validate(values)
