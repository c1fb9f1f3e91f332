"""Spelling correction: what should stand at each character of a text, decided by two heads.

A character is changed where the one head finds it wrong and the other is sure of another one; the thresholds of both
guard against over-correction. Measured are characters and sentences, detection and correction:

    strict        FASPell's and SIGHAN's: found is what the model changed, a sentence is right when all of it is
    pycorrector   as that program counts: a wrong edit of a wrong sentence is no false alarm, and of characters only
                  those rightly found can be wrongly corrected
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from pipeline.finetuning.characters import Spelt, codes_in, text_of
from pipeline.finetuning.corrector import Corrector, asked
from pipeline.finetuning.task import Answers, Counts, Row, Task
from pipeline.metrics import precision_recall_f1
from pipeline.run.errors import InputError

WRONG, LIKELY, BEST, WRITTEN = range(4)
"""Columns of `Answers.scores`: probability of being wrong, that of the best other character, its code point, and the
code point that is written; the last two are whole numbers, which float32 holds up to 2 ** 24."""

CUTS = 48
"""Thresholds tried of each head: at quantiles of what the model is unsure about, so that all are worth a try."""

HALF = 0.5


@dataclass(frozen=True)
class SpellingConfig:
    """What is learned of a misspelt text, by macbert4csc's two heads."""

    correction: float = 1.0
    """Weight of the cross-entropy of the right character, at every character."""
    detection: float = 0.5
    """Weight of the focal loss of being wrong. macbert4csc as released has 0.3 and 0.7 (its documentation says the
    reverse)."""
    alpha: float = 0.75
    """Weight of a wrong character in the focal loss, 1 - alpha of a right one; wrong ones are rare. macbert4csc gives
    the rare ones 0.25, as Lin et al. 2017 did for another reason; 0 = both weigh 1."""
    gamma: float = 2.0
    """How far the focal loss turns from what is right already (Lin et al. 2017); 0 = cross-entropy."""

    def __post_init__(self) -> None:
        if min(self.correction, self.detection, self.gamma) < 0 or not self.correction + self.detection:
            raise ValueError("correction, detection and gamma must not be negative, and one of the first two positive")
        if not 0 <= self.alpha < 1:
            raise ValueError(f"alpha = {self.alpha} must be at least 0 and below 1")


@dataclass(frozen=True)
class Spelling(Task):
    """What should stand at each character."""

    thresholds: tuple[float, ...] = ()
    """Probabilities from which on a character is taken for wrong, and another one for right; none: one half each."""

    kind = "spelling"
    column = "target"
    metrics = ("f1", "detection_f1", "character_f1", "character_detection_f1", "pycorrector_f1", "accuracy")
    has_thresholds = True

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "Task":
        """Rows with `source` and `target`."""
        if all(row["source"] == row["target"] for row in rows):
            raise InputError("every source of task train is as its target: there is no error to learn from")
        return cls(("wrong",))

    def target(self, row: Row) -> np.ndarray:
        """int32 [characters]: code points of what should stand there."""
        if len(row["source"]) != len(row["target"]):
            raise InputError(f"source and target of {row['id']} differ in length: make the corpus with make corpus")
        return codes_in(row["target"])

    def truth(self, rows: Sequence[Row]) -> np.ndarray:
        """int32 [characters of all rows]."""
        return np.concatenate([self.target(row) for row in rows])

    def decide(self, scores: np.ndarray) -> np.ndarray:
        """int64 [T]: code points, the written one where nothing is to be changed."""
        wrong, likely = self.thresholds or (HALF, HALF)
        change = (scores[:, WRONG] >= np.float32(wrong)) & (scores[:, LIKELY] >= np.float32(likely))
        return np.where(change, scores[:, BEST], scores[:, WRITTEN]).astype(np.int64)

    def answers(self, model: Corrector, batches: Spelt) -> Answers:
        """What a model says of all characters; what is no place is right as it stands."""
        scores = np.zeros((len(batches.written), 4), dtype=np.float32)
        scores[:, BEST] = scores[:, WRITTEN] = batches.written
        for places, read, wrong, best, likely in asked(model, batches):
            table = np.append(batches.characters, -1)  # a model may have more embeddings than there are tokens
            codes = table[np.minimum(best, len(batches.characters))]
            kept = (codes < 0) | (best == read)
            scores[places, WRONG], scores[places, LIKELY] = wrong, np.where(kept, 0.0, likely)
            scores[places, BEST] = np.where(kept, scores[places, WRITTEN], codes)
        return Answers(scores, self.decide(scores))

    def counts(self, truth: np.ndarray, answers: Answers, lengths: np.ndarray) -> Counts:
        """Of characters and sentences: found rightly, found, there to be found."""
        return counted(answers.scores[:, WRITTEN].astype(np.int64), truth, answers.predicted, lengths)

    def measure(self, truth: np.ndarray, answers: Answers, counts: Counts) -> dict[str, float]:
        """Strict precision, recall and F1 of corrected sentences, F1 of the rest, sentences right, false alarms."""
        f1 = {name: precision_recall_f1(*counts[line])["f1"] for name, line in LINES.items()}
        right, sentences, _ = counts[WHOLE]
        hits, found, wrong = counts[LINES["pycorrector_f1"]]
        return precision_recall_f1(*counts[LINES["f1"]]) | f1 | {
            "accuracy": 100 * right / max(sentences, 1),
            "false_alarms": 100 * (found - hits) / max(sentences - wrong, 1),
        }  # fmt: skip

    def degenerate(self, answers: Answers) -> bool:
        """Whether nothing was changed anywhere."""
        return bool((answers.predicted == answers.scores[:, WRITTEN]).all())

    def told(self, answers: Answers, lengths: np.ndarray) -> list[Row]:
        """The texts as they are and as they should be, and what was changed where."""
        ends = np.cumsum(lengths)[:-1]
        rows = zip(np.split(answers.scores, ends), np.split(answers.predicted, ends), strict=True)
        return [
            {
                "source": text_of(scores[:, WRITTEN].astype(int)),
                "predicted": text_of(new),
                "changes": changes_of(scores, new),
            }
            for scores, new in rows
        ]

    def tuned(self, truth: np.ndarray, scores: np.ndarray, lengths: np.ndarray, one_for_all: bool) -> "Task":
        """With the thresholds that correct most sentences strictly (F1) on these rows; of equals, nearest one half."""
        return replace(self, thresholds=best_thresholds(truth, scores, lengths, one_for_all))


LINES = {
    "f1": "sentences, corrected",
    "detection_f1": "sentences, detected",
    "character_f1": "characters, corrected",
    "character_detection_f1": "characters, detected",
    "pycorrector_f1": "sentences, corrected (pycorrector)",
    "pycorrector_character_f1": "characters, corrected (pycorrector)",
}
"""Measure -> the line of `counted` it is made of."""

WHOLE = "sentences, as they should be"


def counted(written: np.ndarray, truth: np.ndarray, predicted: np.ndarray, lengths: np.ndarray) -> Counts:
    """(found rightly, found, there to be found) by every definition; code points int [T], lengths int [rows].

    SIGHAN 2015 and FASPell (Hong et al. 2019) divide by what was changed and by what was wrong; `pycorrector` lines
    are those of `compute_sentence_level_prf` and `compute_corrector_prf` there.
    """
    wrong, changed, fixed = written != truth, written != predicted, truth == predicted
    row = np.repeat(np.arange(len(lengths)), lengths)
    in_rows = lambda marks: np.bincount(row[marks], minlength=len(lengths))
    faulty, touched = in_rows(wrong) > 0, in_rows(changed) > 0
    whole, same_places = in_rows(~fixed) == 0, in_rows(wrong != changed) == 0
    found = wrong & changed
    lines = {
        "f1": (touched & whole, touched, faulty),
        "detection_f1": (faulty & same_places, touched, faulty),
        "character_f1": (changed & fixed, changed, wrong),
        "character_detection_f1": (found, changed, wrong),
        "pycorrector_f1": (faulty & whole, faulty & whole | ~faulty & touched, faulty),
    }
    counts = {LINES[name]: tuple(int(marks.sum()) for marks in line) for name, line in lines.items()}
    hits = int((found & fixed).sum())
    missed = _missed(truth, predicted, wrong, found, lengths)
    counts[LINES["pycorrector_character_f1"]] = (hits, int(found.sum()), hits + missed)
    return counts | {WHOLE: (int(whole.sum()), len(lengths), len(lengths))}


def _missed(
    truth: np.ndarray, predicted: np.ndarray, wrong: np.ndarray, found: np.ndarray, lengths: np.ndarray
) -> int:
    """Wrong characters whose right one stands at none of the places rightly found in a text that has such a place."""
    missed = 0
    for start, end in zip(np.cumsum(lengths) - lengths, np.cumsum(lengths), strict=True):
        if found[start:end].any():
            there = set(predicted[start:end][found[start:end]].tolist())
            missed += sum(code not in there for code in truth[start:end][wrong[start:end]].tolist())
    return missed


def changes_of(scores: np.ndarray, predicted: np.ndarray) -> list[dict[str, object]]:
    """Each change of a text: where, what by what, and both probabilities; scores [characters, 4]."""
    return [
        {
            "offset": int(i),
            "written": chr(int(scores[i, WRITTEN])),
            "corrected": chr(int(predicted[i])),
            "wrong": float(scores[i, WRONG]),
            "likely": float(scores[i, LIKELY]),
        }
        for i in np.flatnonzero(scores[:, WRITTEN] != predicted)
    ]


def best_thresholds(
    truth: np.ndarray, scores: np.ndarray, lengths: np.ndarray, one_for_all: bool
) -> tuple[float, float]:
    """Of wrong and likely, or one for both; one half each where no change there could be is right.

    Only what the model would change by itself can be changed, so all is decided on those characters.
    """
    row = np.repeat(np.arange(len(lengths)), lengths)
    open_ = np.flatnonzero(scores[:, BEST] != scores[:, WRITTEN])
    wrong, right = scores[:, WRITTEN] != truth, scores[open_, BEST] == truth[open_]
    faults = np.bincount(row[wrong], minlength=len(lengths))  # still there if nothing is changed
    faulty = int((faults > 0).sum())
    if not right.any():
        return HALF, HALF

    def f1(cut: tuple[float, float]) -> float:
        change = (scores[open_, WRONG] >= np.float32(cut[0])) & (scores[open_, LIKELY] >= np.float32(cut[1]))
        places = open_[change]
        touched = np.bincount(row[places], minlength=len(lengths)) > 0
        mended = np.bincount(row[places[right[change]]], minlength=len(lengths))
        broken = np.bincount(row[places[~right[change] & ~wrong[places]]], minlength=len(lengths))
        return precision_recall_f1(int((touched & (faults - mended + broken == 0)).sum()), touched.sum(), faulty)["f1"]

    columns = scores[open_, WRONG], scores[open_, LIKELY]
    both = [(cut, cut) for cut in _cuts(np.minimum(*columns))]  # the lower of the two decides
    pairs = both if one_for_all else list(product(*map(_cuts, columns)))
    return max(pairs, key=lambda pair: (f1(pair), -abs(pair[0] - HALF) - abs(pair[1] - HALF)))


def _cuts(values: np.ndarray) -> list[float]:
    """Thresholds to try: between values, at most CUTS of them, and one half."""
    values = np.unique(values.astype(np.float64))
    middles = np.concatenate([[0.0], (values[1:] + values[:-1]) / 2])
    chosen = middles[np.unique(np.linspace(0, len(middles) - 1, min(CUTS, len(middles))).astype(int))]
    return sorted({HALF, *chosen.tolist()})
