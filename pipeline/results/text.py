"""What the text of a run is: what was dropped from it, which words speak for a class, how it is masked."""

from collections import Counter
from collections.abc import Mapping, Sequence

from pipeline.masking.pages import Drawn
from pipeline.metrics import telling
from pipeline.pages.parts import Masks, Part, Said, Section, Table
from pipeline.pages.plain import shortened

SPEAKING = 12
"""Words of a class that are shown."""


def cleaning(metrics: Mapping[str, float], examples: Sequence[tuple[str, str, str]]) -> Section:
    """Documents of each corpus, how many were dropped for which reason, and (reason, origin, text) of some of them."""
    sizes = {name: count for name, count in metrics.items() if name.endswith(("/train", "/dev", "/test"))}
    names = list(dict.fromkeys(name.rpartition("/")[0] for name in sizes))
    head = [Said("corpus", "语料"), Said("train", "训练"), Said("dev", "开发"), Said("test", "测试")]
    cell = lambda name, part: f"{sizes[f'{name}/{part}']:,}" if f"{name}/{part}" in sizes else ""
    parts: list[Part] = [Table(head, [[name, *(cell(name, p) for p in ("train", "dev", "test"))] for name in names])]
    reasons = {name.removeprefix("rejected/"): n for name, n in metrics.items() if name.startswith("rejected/")}
    if reasons:
        dropped = [[name.replace("_", " "), f"{count:,}"] for name, count in sorted(reasons.items(), key=_most)]
        parts.append(Table([Said("dropped because", "剔除原因"), Said("documents", "文档数")], dropped))
    if examples:
        rows = [[shortened(text), reason.replace("_", " "), origin] for reason, origin, text in examples]
        parts.append(
            Table(
                [Said("dropped, for example", "剔除的例子"), Said("because", "原因"), Said("from", "来源")],
                rows,
                worded=3,
            )
        )
    return Section(Said("The text, and what cleaning dropped", "文本，以及清洗剔除了什么"), parts if sizes else [])


def _most(item: tuple[str, float]) -> tuple[float, str]:
    return -item[1], item[0]


def speaking(found: Mapping[str, Counter[str]], scorer: str) -> Section:
    """The keywords that tell each class from the others; found: class -> its keywords, counted."""
    every = sum(found.values(), Counter())
    rest = {name: every - counts for name, counts in found.items()}
    rows = [
        [name, "  ".join(telling(counts, rest[name])[:SPEAKING]), f"{counts.total():,}"]
        for name, counts in found.items()
        if counts
    ]
    told = Said(
        f"Words of the task's training text that the scorer ({scorer}) calls keywords, those first that tell a class "
        "from the others.",
        f"打分器（{scorer}）认为是关键词的训练文本词语，最能区分该类别的在前。",
    )
    head = [Said("class", "类别"), Said("keywords", "关键词"), Said("found", "出现次数")]
    return Section(
        Said("Keywords by class", "各类别的关键词"), [told, Table(head, rows, worded=2)] if len(rows) > 1 else []
    )


def masks(sequences: Sequence[Drawn], policy: str) -> Section:
    """Importance, and what each policy hides."""
    weighed = any(piece.importance > 1 for one in sequences for piece in one.heat)
    what = Said(" with the importance of their words", "及其词的重要性") if weighed else Said("", "")
    told = Said(
        f"Sentences of the corpus{what.en}, and what a training reads of them: under this recipe's policy, {policy}, "
        "and under others at the same rate.",
        f"语料中的句子{what.zh}，以及训练实际读到的内容：本配方的策略（{policy}），和相同比例下的其他策略。",
    )
    return Section(Said("What is masked", "遮盖了什么"), [told, Masks(sequences)] if sequences else [])
