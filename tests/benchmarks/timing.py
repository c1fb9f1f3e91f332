"""Clocks, turns and tables: what all benchmarks share."""

import gc
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from torch.nn.functional import linear

Rows = list[dict[str, str]]
Found = list[str | Rows]
"""What a benchmark found: paragraphs and tables, in the order in which they are shown."""


def cpu_seconds(call: Callable[[], object]) -> float:
    """CPU time of this process for a call."""
    started = time.process_time()
    call()
    return time.process_time() - started


def in_turns(arms: dict[str, Callable[[int], float]], rounds: int) -> dict[str, list[float]]:
    """What each arm measures in each round, the arms taking turns. An arm is given the number of the round."""
    found: dict[str, list[float]] = {name: [] for name in arms}
    for number in range(rounds):
        for name, arm in arms.items():
            gc.collect()
            torch.cuda.empty_cache()  # what one arm leaves reserved, another would have to wait for
            found[name].append(arm(number))
    return found


def spread(values: Sequence[float]) -> str:
    """The largest over the smallest."""
    return f"{max(values) / min(values):.2f}" if len(values) > 1 else "one round"


def times(value: float, peer: float) -> str:
    """A ratio, to two digits."""
    return f"{value / peer:.2f} ×" if value / peer < 9.95 else f"{value / peer:.0f} ×"


def duration(seconds: float) -> str:
    """In milliseconds below a second."""
    return f"{1000 * seconds:.1f} ms" if seconds < 1 else f"{seconds:,.1f} s"


def rates(found: dict[str, list[float]], unit: str, peer: str) -> Rows:
    """A table of rates (more is better): median, spread, and ratio to the peer."""
    medians = {name: statistics.median(values) for name, values in found.items()}
    return [
        {
            "": name,
            unit: f"{medians[name]:,.0f}",
            "spread": spread(values),
            "to the peer": "1 (peer)" if name == peer else times(medians[name], medians[peer]),
        }
        for name, values in found.items()
    ]


def table(rows: Rows) -> str:
    """Rows as Markdown, aligned so that the source reads well too; a row lacks what does not concern it."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [names, *([row.get(name, "") for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    lines = [[line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])] for line in cells]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])


def matmul_limit(device: str) -> float:
    """FLOP/s of one large matrix product, the best of five, which no training can exceed: fp32, on a GPU bf16."""
    size, kind = (2048, torch.float32) if device == "cpu" else (8192, torch.bfloat16)
    left, right = (torch.randn(size, size, device=device, dtype=kind) for _ in range(2))
    seconds = []
    for _ in range(5):
        started = clock(device)
        linear(left, right)
        seconds.append(clock(device) - started)
    return 2 * size**3 / min(seconds)


def clock(device: str) -> float:
    """CPU time; on a GPU the time of the wall, when all work is done."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()
