"""What a run cost, and how to make it again."""

from collections.abc import Mapping

from pipeline.pages.parts import Code, Part, Said, Section, Table
from pipeline.run.artifact import Manifest
from pipeline.run.key import changes
from pipeline.run.progress import clock


def cost(made: Mapping[str, Manifest]) -> Section:
    """A row an artifact, in the order they were finished, and their sum; made: name -> manifest.

    What runs share, by an equal key, was made once and is counted once.
    """
    first = {one["key"]: name for name, one in reversed([*made.items()])}
    made = {name: made[name] for name in first.values()}
    ordered = sorted(made.items(), key=lambda item: str(item[1]["provenance"]["finished"]))
    rows = [[name, *_spent(one)] for name, one in ordered]
    seconds = sum(one["provenance"]["seconds"] for one in made.values())
    peak = max((one["provenance"]["peak_memory_mb"] for one in made.values()), default=0)
    sizes = sum(_size(one) for one in made.values())
    rows.append([Said("all", "合计"), "", "", clock(seconds), _memory(peak), _disk(sizes)])
    head = [Said("artifact", "产物"), Said("steps", "步数"), Said("tokens", "词元"), Said("time", "用时")]
    head += [Said("peak memory", "峰值内存"), Said("disk", "磁盘")]
    return Section(Said("Cost", "开销"), [Table(head, rows), *_machines(made)] if made else [])


def _spent(one: Manifest) -> list[str]:
    metrics, how = one["metrics"], one["provenance"]
    steps, tokens = metrics.get("steps"), metrics.get("tokens") if "steps" in metrics else None
    return [
        f"{steps:,}" if steps else "",
        f"{tokens / 1e6:.1f} M" if tokens else "",
        clock(how["seconds"]),
        _memory(how["peak_memory_mb"]),
        _disk(_size(one)),
    ]


def _size(one: Manifest) -> int:
    return sum(entry["size"] for entry in one["files"].values())


def _memory(megabytes: float) -> str:
    return f"{megabytes / 1000:.1f} GB"


def _disk(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _machines(made: Mapping[str, Manifest]) -> list[Said]:
    """On what it ran."""
    machines = sorted({f"{m['provenance']['machine']}, {m['provenance']['processes']} ×" for m in made.values()})
    told = "; ".join(machine.removesuffix(", 1 ×") for machine in machines)
    return [
        Said(
            f"Time is wall clock. Made on {told}.",
            f"用时为实际时间。运行于 {told}。",
        )
    ]


def repeat(made: Mapping[str, Manifest], runs: Mapping[str, Mapping[str, Manifest]]) -> Section:
    """The commands, what they ran with, and where the recipes of several runs differ."""
    provenance = [one["provenance"] for one in made.values()]
    commands = sorted({" ".join(str(one["command"]).split()) for one in provenance})
    commits = ", ".join(sorted({f"`{one['commit']}`" for one in provenance}))
    versions = sorted({f"{name} {v}" for one in provenance for name, v in one["versions"].items()})
    pythons = ", ".join(sorted({one["python"] for one in provenance}))
    parts: list[Part] = [
        Code(commands),
        Said(
            f"Commit {commits}; Python {pythons}; {', '.join(versions)}.",
            f"提交 {commits}；Python {pythons}；{'，'.join(versions)}。",
        ),
    ]
    rows = differing(runs)
    if rows:
        head = [Said("setting", "设置"), *runs]
        parts += [Said("Where the recipes differ:", "配方的不同之处："), Table(head, rows, worded=1 + len(runs))]
    return Section(Said("How to repeat it", "如何重复"), parts)


def differing(runs: Mapping[str, Mapping[str, Manifest]]) -> list[list[str]]:
    """`masked.policy`, and what it is in each run, for each setting that is not the same in all that have it."""
    first, *others = runs.values()
    found = {
        f"{name}.{setting}"
        for other in others
        for name in first.keys() & other.keys()
        for setting in changes(first[name]["config"], other[name]["config"])
    }
    return [[setting, *(_setting(run, setting) for run in runs.values())] for setting in sorted(found)]


def _setting(run: Mapping[str, Manifest], setting: str) -> str:
    name, *path = setting.split(".")
    value = run[name]["config"] if name in run else {}
    for part in path:
        value = value.get(part, {}) if isinstance(value, Mapping) else {}
    return "" if value == {} else str(value)
