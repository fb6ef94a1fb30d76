"""How many alarms a day normal sound raises, by rate of windows above and by confirmation.

    python benchmarks/alarm_rules.py [--days 30]

Scores are simulated, the alarm is the product's: windows of 10 s every 2.5 s, whose scores are
normal and share what the windows share; a part of the variance may last for ten minutes and is then
drawn anew. `expected` is what `edge_asd/alarm/expected_alarms.py` says of the same. The second
table has what is chosen for ten false alarms a month, the third what extreme scores cost.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from edge_asd.alarm.change import Raised
from edge_asd.alarm.expected_alarms import LASTING_S, MONTH_S, expected_alarms
from edge_asd.alarm.life_cycle import Alarm
from edge_asd.alarm.policy import AlarmPolicy, policy_for
from edge_asd.alarm.promise import extreme_level, promised
from edge_asd.bundle.manifest import ThresholdSpec
from edge_asd.profile import load_profile
from edge_asd.scoring.threshold import LEVEL_RATES, at_rate

WINDOW_S, HOP_S = 10.0, 2.5
DAY_S = 86_400.0
RATES = (0.05, 0.01, 0.001)
# Minimum duration as without a promise: three windows in a row.
RULES = (
    ("automatic, 5 s", (3, 3), 0.0),
    ("8 of 12", (8, 12), 0.0),
    ("8 of 12", (8, 12), 0.5),
    ("16 of 24", (16, 24), 0.5),
    ("24 of 36", (24, 36), 0.5),
)
SHARES = (0.0, 0.3, 0.5, 0.7)
WANTED = 10.0  # false alarms a month

_NORMAL = NormalDist()


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--days", type=float, default=30.0, help="of each figure")
    days: float = parser.parse_args().days
    console = Console()
    console.print(_table("alarms a day: simulated (expected)", _rule_rows(days)))
    console.print(_table(f"chosen for {WANTED:g} false alarms a month", _chosen_rows(days)))
    console.print(_table("extreme scores of normal sound, alarms a month", _extreme_rows()))


def _rule_rows(days: float) -> Iterator[dict[str, str]]:
    levels = _levels(lambda place: place)
    for name, confirm, share in RULES:
        row = {"confirmation": name, "lasts": f"{share:.0%}"}
        expected = expected_alarms(RATES, confirm, share=share, window_s=WINDOW_S, hop_s=HOP_S)
        scores = _scores(days, share)
        for rate, per_month in zip(RATES, expected.tolist(), strict=True):
            spec = at_rate(levels, rate)
            levels_of = spec.threshold, spec.clear_threshold
            policy = AlarmPolicy(*levels_of, 0.0, WINDOW_S, None, *confirm)
            per_day = per_month * DAY_S / MONTH_S
            row[f"{rate:.1%}"] = f"{_raised(policy, scores) / days:.2f} ({per_day:.2f})"
        yield row


def _chosen_rows(days: float) -> Iterator[dict[str, str]]:
    for share in SHARES:
        spec, promise = promised(
            _levels(lambda place: place),
            share=share,
            window_s=WINDOW_S,
            hop_s=HOP_S,
            false_alarms_per_month=WANTED,
        )
        policy = policy_for(
            load_profile().alarm,
            threshold=spec.threshold,
            clear_threshold=spec.clear_threshold,
            window_s=WINDOW_S,
            hop_s=HOP_S,
            confirm=(promise.confirm_n, promise.confirm_m),
            least_extreme=extreme_level(spec, promise),
        )
        raised = _raised(policy, _scores(4 * days, share))
        yield {
            "lasts": f"{share:.0%}",
            "windows above": f"{spec.false_alarm_rate:.2%}",
            "confirmation": f"{promise.confirm_n} of {promise.confirm_m}",
            "delay": f"{promise.delay_s:.0f} s",
            "expected": f"{promise.false_alarms_per_month:.1f}",
            "simulated": f"{raised * MONTH_S / (4 * days * DAY_S):.1f}",
        }


def _extreme_rows() -> Iterator[dict[str, str]]:
    """Windows above the extreme level, where the logarithm of scores is normal."""
    for deviation in (0.1, 0.3, 0.5):
        levels = _levels(partial(_log_normal, deviation))
        spec, promise = promised(levels, share=0.3, window_s=WINDOW_S, hop_s=HOP_S)
        plain = spec.threshold + 3 * (spec.threshold - spec.clear_threshold)
        least = max(plain, extreme_level(levels, promise))
        of = {"three hystereses alone": plain, "with a promise": least}
        yield {"deviation of the logarithm": f"{deviation:g}"} | {
            name: f"{_NORMAL.cdf(-np.log(level) / deviation) * MONTH_S / HOP_S:.2g}"
            for name, level in of.items()
        }


def _log_normal(deviation: float, place: float) -> float:
    return float(np.exp(deviation * place))


def _levels(score_at: Callable[[float], float]) -> ThresholdSpec:
    """Exact levels of scores that are a function of normal ones."""
    levels = tuple((rate, score_at(-_NORMAL.inv_cdf(rate))) for rate in LEVEL_RATES)
    return ThresholdSpec(
        threshold=levels[-1][1],
        clear_threshold=levels[0][1],
        false_alarm_rate=LEVEL_RATES[-1],
        method="exact",
        n_scores=1,
        levels=levels,
    )


def _scores(days: float, share: float) -> NDArray[np.float64]:
    rng = np.random.default_rng(0)
    n, overlap, lasting = round(days * DAY_S / HOP_S), round(WINDOW_S / HOP_S), LASTING_S / HOP_S
    sums = np.cumsum(rng.standard_normal(n + overlap))
    short = (sums[overlap:] - sums[:-overlap]) / np.sqrt(overlap)
    long = rng.standard_normal(n // round(lasting) + 1).repeat(round(lasting))[:n]
    return np.asarray(np.sqrt(1 - share) * short + np.sqrt(share) * long)


def _raised(policy: AlarmPolicy, scores: NDArray[np.float64]) -> int:
    alarm = Alarm(policy, str)
    return sum(
        isinstance(change, Raised)
        for i, score in enumerate(scores.tolist())
        for change in alarm.update(i * HOP_S, score)
    )


def _table(title: str, rows: Iterator[dict[str, str]]) -> Table:
    found = list(rows)
    table = Table(*found[0], title=title)
    for row in found:
        table.add_row(*row.values())
    return table


if __name__ == "__main__":
    main()
