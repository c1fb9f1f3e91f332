"""Which test rows adaptation fixed, and which it broke."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from pipeline.finetuning.by_row import TRUTH
from pipeline.finetuning.task import Row
from pipeline.pages.parts import Cell, Part, Said, Section, Strong, Table
from pipeline.pages.plain import shortened


@dataclass
class Judged:
    """What the runs of an arm said of one row: every seed of every pretraining."""

    truth: object
    right: int = 0
    said: Counter[str] = field(default_factory=Counter)

    @property
    def runs(self) -> int:
        """How many were asked."""
        return self.said.total()

    @property
    def share(self) -> Fraction:
        """Of them that are right."""
        return Fraction(self.right, self.runs)


@dataclass(frozen=True)
class Changed:
    """A row of which one arm knows more than the other."""

    id: str
    before: Judged
    after: Judged

    @property
    def gain(self) -> Fraction:
        """Share of runs by which it became right; below 0: by which it became wrong."""
        return self.after.share - self.before.share


def judged(kind: str, predictions: Iterable[Row]) -> dict[str, Judged]:
    """Test row -> how many runs are right, and what they said; nothing for a kind without right and wrong."""
    found: dict[str, Judged] = {}
    if kind not in TRUTH:
        return found
    for row in predictions:
        one = found.setdefault(str(row["id"]), Judged(row[TRUTH[kind]]))
        one.right += _same(kind, row[TRUTH[kind]], row["predicted"])
        one.said[shown(row["predicted"])] += 1
    return found


def _same(kind: str, truth: object, predicted: object) -> bool:
    return set(truth) == set(predicted) if kind == "labels" else truth == predicted


def shown(answer: object) -> str:
    """A class, labels, or the tags that are not O."""
    return answer if isinstance(answer, str) else " ".join(one for one in answer if one != "O") or "–"


def changed(before: Mapping[str, Judged], after: Mapping[str, Judged]) -> list[Changed]:
    """Rows of both arms with another share of runs right, the largest gain first, the largest loss last."""
    both = [Changed(name, before[name], after[name]) for name in before if name in after]
    return sorted((one for one in both if one.gain), key=lambda one: (-one.gain, one.id))


def changes(base: str, arm: str, rows: Sequence[Changed], texts: Mapping[str, str], total: int) -> Section:
    """What was fixed and broken, with the texts of the rows that are shown."""
    known = lambda some: [one for one in some if one.id in texts]
    fixed, broken = ([one for one in rows if one.gain > 0], [one for one in rows[::-1] if one.gain < 0])
    parts: list[Part] = [_counted(base, arm, rows, total)] if rows else []
    for title, some in ((Said("Fixed:", "改对的："), known(fixed)), (Said("Broken:", "改错的："), known(broken))):
        if some:
            parts += [title, _table(base, arm, [(one, texts[one.id]) for one in some])]
    return Section(Said("What adaptation fixed and broke", "适应改对和改错了哪些"), parts)


def _counted(base: str, arm: str, rows: Sequence[Changed], total: int) -> Said:
    most = lambda one: 2 * one.right > one.runs
    fixed = sum(most(one.after) and not most(one.before) for one in rows)
    broken = sum(most(one.before) and not most(one.after) for one in rows)
    return Said(
        f"Of {total:,} test rows, most runs of {arm} are right and most of {base} wrong on **{fixed:,}**; the other "
        f"way round on **{broken:,}**. Shown are those on which most runs changed; *right*: runs that are, of all.",
        f"在 {total:,} 条测试数据中，{arm} 的多数运行答对而 {base} 的多数运行答错的有 **{fixed:,}** 条，相反的有 "
        f"**{broken:,}** 条。下表为变化的运行最多的数据；*答对*：答对的运行数 / 全部运行数。",
    )


def _table(base: str, arm: str, rows: Sequence[tuple[Changed, str]]) -> Table:
    head = [Said("text", "文本"), Said("truth", "真值"), base, arm, Said("right", "答对")]
    most = lambda judged: judged.said.most_common(1)[0][0]
    cells: list[list[Cell]] = [
        [shortened(text), shown(one.before.truth), _marked(most(one.before), one), _marked(most(one.after), one),
         f"{_right(one.before)} → {_right(one.after)}"]
        for one, text in rows
    ]  # fmt: skip
    return Table(head, cells, worded=4)


def _right(judged: Judged) -> str:
    return f"{judged.right}/{judged.runs}"


def _marked(said: str, row: Changed) -> Cell:
    return [Strong(said)] if said == shown(row.before.truth) else said
