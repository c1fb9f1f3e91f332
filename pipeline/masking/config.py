"""How sequences are masked: the settings of choice and corruption, and their schedule."""

from dataclasses import dataclass, replace
from typing import Literal

Policy = Literal["selective", "random", "whole_word"]
IMPORTANT = 128
"""A word is important from here on: the tagger gives it at least one half (importance is 0-255)."""
RATE_STEPS = 5
"""Mask rates of the stepwise schedule, the first and the last included."""


@dataclass(frozen=True)
class MaskingConfig:
    """How sequences are masked at every visit."""

    policy: Policy = "selective"
    """selective: important words first; whole_word: words at random; random: tokens at random."""
    mask_rate: float = 0.15
    """Share of the tokens to predict, as in BERT."""
    mask_rate_schedule: Literal["constant", "linear", "steps"] = "constant"
    """How it goes on to `final_mask_rate` as tokens are read: not at all, evenly, or in five steps. Only going down
    has been seen to help, from 0.3 to 0.15 for example (Ankner et al. 2024)."""
    final_mask_rate: float = 0.15
    """The mask rate at the end, where a schedule is named."""
    selective_share: float = 1.0
    """Share of the budget that important words may fill; the rest is drawn at random from all other words."""
    mask_share: float = 0.8
    """Share of the chosen tokens that become the mask token."""
    random_share: float = 0.1
    """Share of the chosen tokens that become a random token; what is left stays as written."""
    seed: int = 0
    """Seed of choice and corruption."""

    def __post_init__(self) -> None:
        for name in ("mask_rate", "final_mask_rate"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} must lie between 0 and 1")
        if not 0 <= self.selective_share <= 1:
            raise ValueError(f"selective_share = {self.selective_share} must lie between 0 and 1")
        if self.mask_share < 0 or self.random_share < 0 or self.mask_share + self.random_share > 1:
            raise ValueError("mask_share and random_share must be positive and add up to at most 1")

    def at(self, elapsed: float) -> "MaskingConfig":
        """The masking when the share `elapsed` of the training's tokens has been read."""
        if self.mask_rate_schedule == "constant":
            return self
        part = elapsed if self.mask_rate_schedule == "linear" else min(int(elapsed * RATE_STEPS) / (RATE_STEPS - 1), 1)
        return replace(self, mask_rate=self.mask_rate + (self.final_mask_rate - self.mask_rate) * part)
