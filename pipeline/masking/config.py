"""How sequences are masked: the settings of selection and replacement, and their schedules.

Selection and replacement are set apart from each other; a combination that has no meaning is refused with the reason.
"""

from dataclasses import dataclass, replace
from typing import Literal

Policy = Literal["selective", "random", "whole_word"]
Schedule = Literal["constant", "linear", "steps"]
IMPORTANT = 128
"""A word is important from here on: the scorer gives it at least one half (importance is 1-255, 0 = never chosen)."""
RATE_STEPS = 5
"""Values of a stepwise schedule, the first and the last included."""


@dataclass(frozen=True)
class MaskingConfig:
    """How sequences are masked at every visit."""

    policy: Policy = "selective"
    """selective: by importance (Gu et al. 2020); whole_word: words at random; random: tokens at random (BERT)."""
    mask_rate: float = 0.15
    """Share of the tokens to predict, as in BERT."""
    mask_rate_schedule: Schedule = "constant"
    """How it goes on to `final_mask_rate` as tokens are read: not at all, evenly, or in five steps. Only going down
    has been seen to help, from 0.3 to 0.15 for example (Ankner et al. 2024)."""
    final_mask_rate: float = 0.15
    """The mask rate at the end, where a schedule is named."""
    unit: Literal["word", "ngram", "span", "token"] = "word"
    """What is taken together: a word; 1-4 words in 40/30/20/10 % of cases (MacBERT, Cui et al. 2020); 1-10 words,
    geometric with p = 0.2 (SpanBERT, Joshi et al. 2020); a token by itself. policy = random takes tokens anyway."""
    select: Literal["top", "sample", "threshold"] = "top"
    """How policy = selective chooses: the most important words first; words drawn without replacement in proportion to
    importance ^ (1 / temperature), so that unimportant ones are seen as well; or those at `threshold`, any order."""
    threshold: int = IMPORTANT
    """Words of at least this importance are important: to select = top and threshold; sample knows no border."""
    temperature: float = 1.0
    """Of select = sample: near 0 it takes the most important ones, far above 1 all words alike."""
    selective_share: float = 0.5
    """Share of the budget that important words may fill; the rest is drawn at random from all other words. At 1 the
    same few words would be predicted at every visit, and the model would forget the rest of the language."""
    selective_share_schedule: Schedule = "constant"
    """How it goes on to `final_selective_share` as tokens are read."""
    final_selective_share: float = 0.5
    """The selective share at the end, where a schedule is named."""
    fill: Literal["random", "none"] = "random"
    """What becomes of budget that important words leave over: random words fill it, or it stays unused, as in Train No
    Evil, which predicts fewer words where the tagger sees fewer."""
    control: bool = False
    """Predict as many tokens as this policy would, sequence by sequence and visit by visit, but random words: what a
    gain over it shows is due to which words were chosen, not to how many."""
    skip_stop_words: bool = False
    """Never predict function words; the list is corpora/stop_words/. Off: BERT predicts them."""
    skip_punctuation: bool = False
    """Never predict punctuation and symbols. Off: BERT predicts them."""
    replacement: Literal["mask", "similar", "confusion"] = "mask"
    """What stands there instead: the mask token; a similar word of as many tokens (MacBERT); for each token one that
    sounds or looks like it (spelling correction, Liu et al. 2021)."""
    mask_share: float = 0.8
    """Share of the chosen tokens (of the chosen words, where replacement = similar) that are replaced so."""
    random_share: float = 0.1
    """Share of the chosen tokens or words that become random tokens; what is left stays as written."""
    seed: int = 0
    """Seed of choice and corruption."""

    def __post_init__(self) -> None:
        for name in ("mask_rate", "final_mask_rate"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} must lie between 0 and 1")
        for name in ("selective_share", "final_selective_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name)} must lie between 0 and 1")
        if self.mask_share < 0 or self.random_share < 0 or self.mask_share + self.random_share > 1:
            raise ValueError("mask_share and random_share must be positive and add up to at most 1")
        if not 1 <= self.threshold <= 255:
            raise ValueError(f"threshold = {self.threshold} must lie between 1 and 255: importance 0 is never chosen")
        if not self.temperature >= 0.05:
            raise ValueError(f"temperature = {self.temperature} must be 0.05 or more: below it, set select = top")
        if self.policy == "random" and self.unit in ("ngram", "span"):
            raise ValueError(f"unit = {self.unit} joins words, policy = random takes tokens: set policy = whole_word")
        if self.policy == "whole_word" and self.unit == "token":
            raise ValueError("unit = token takes no whole words: set policy = random")
        if self.control and self.policy != "selective":
            raise ValueError(f"control = true is the control of policy = selective; {self.policy} is random already")

    @property
    def by_token(self) -> bool:
        """Whether a token is chosen without the rest of its word."""
        return self.policy == "random" or self.unit == "token"

    def at_random(self) -> "MaskingConfig":
        """The same for text whose words nobody scored: as many of them, at random."""
        return replace(self, policy="random" if self.by_token else "whole_word", control=False)

    def at(self, elapsed: float) -> "MaskingConfig":
        """The masking when the share `elapsed` of the training's tokens has been read."""
        if self.mask_rate_schedule == self.selective_share_schedule == "constant":
            return self
        return replace(
            self,
            mask_rate=_at(elapsed, self.mask_rate_schedule, self.mask_rate, self.final_mask_rate),
            selective_share=_at(
                elapsed, self.selective_share_schedule, self.selective_share, self.final_selective_share
            ),
        )


def _at(elapsed: float, schedule: Schedule, first: float, last: float) -> float:
    """The value of a schedule that goes from `first` to `last`."""
    if schedule == "constant":
        return first
    part = elapsed if schedule == "linear" else min(int(elapsed * RATE_STEPS) / (RATE_STEPS - 1), 1)
    return first + (last - first) * part
