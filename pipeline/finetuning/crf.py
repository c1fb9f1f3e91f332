"""A linear-chain conditional random field over the tags of a sequence (Lafferty et al. 2001), and Viterbi.

    score(tags) = start[t1] + sum of emissions[i, ti] + sum of transitions[ti, ti+1] + end[tn]

Its loss is log Z - score, exact by the forward algorithm, in float32. Words are what it runs over: the first piece of
each, the rest and special tokens left out, so that the neighbour of a word is the next word. What a scheme forbids
(I-X after O) is forbidden when tags are decided, not while it learns: tags that break the scheme may stand in a
corpus.
"""

import torch
from torch import Tensor, nn

from pipeline.batches import IGNORE


class Crf(nn.Module):
    """Scores of neighbours. They start at zero, where a CRF is a softmax a word."""

    def __init__(self, tags: int) -> None:
        super().__init__()
        self.start, self.end = nn.Parameter(torch.zeros(tags)), nn.Parameter(torch.zeros(tags))
        self.transitions = nn.Parameter(torch.zeros(tags, tags))

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """-log P(tags), summed over sequences: logits [B, L, C], labels [B, L], IGNORE where no word begins."""
        emissions, inside = at_words(logits.float(), labels != IGNORE)
        tags = at_words(labels, labels != IGNORE)[0].clamp(min=0)
        some = inside[:, 0].clone()
        inside[:, 0] = True  # a text without a word is given one, and its loss left out
        score = path_score(emissions, tags, inside, self.start, self.transitions, self.end)
        every = log_partition(emissions, inside, self.start, self.transitions, self.end)
        return torch.where(some, every - score, 0.0).sum()


def at_words(values: Tensor, begins: Tensor) -> tuple[Tensor, Tensor]:
    """What stands at the words, moved to the left: values [B, L, ...] -> [B, W, ...], and where a word is, [B, W]."""
    order = torch.argsort(~begins, dim=1, stable=True)[:, : max(int(begins.sum(1).max()), 1)]
    inside = begins.gather(1, order)
    index = order.view(*order.shape, *[1] * (values.dim() - 2)).expand(*order.shape, *values.shape[2:])
    return values.gather(1, index), inside


def path_score(
    emissions: Tensor, tags: Tensor, inside: Tensor, start: Tensor, transitions: Tensor, end: Tensor
) -> Tensor:
    """[B]: the score of given tags [B, W]; emissions [B, W, C], `inside` bool [B, W] with words first."""
    last = tags.gather(1, inside.sum(1, keepdim=True) - 1).squeeze(1)
    at_word = emissions.gather(2, tags[..., None]).squeeze(2) * inside
    between = transitions[tags[:, :-1], tags[:, 1:]] * inside[:, 1:]
    return start[tags[:, 0]] + at_word.sum(1) + between.sum(1) + end[last]


def log_partition(emissions: Tensor, inside: Tensor, start: Tensor, transitions: Tensor, end: Tensor) -> Tensor:
    """[B]: log of the sum of exp(score) over all tag sequences, by the forward algorithm."""
    return torch.logsumexp(_forward(emissions, inside, start, transitions)[-1] + end, dim=1)


def _forward(emissions: Tensor, inside: Tensor, start: Tensor, transitions: Tensor) -> list[Tensor]:
    """Of each word [B, C]: log-sum of what ends in a tag there; past the end of a sequence, as at its last word."""
    alphas = [start + emissions[:, 0]]
    for i in range(1, emissions.shape[1]):
        step = torch.logsumexp(alphas[-1][:, :, None] + transitions, dim=1) + emissions[:, i]
        alphas.append(torch.where(inside[:, i, None], step, alphas[-1]))
    return alphas


def marginals(emissions: Tensor, inside: Tensor, start: Tensor, transitions: Tensor, end: Tensor) -> Tensor:
    """[B, W, C]: P(tag of a word), by the forward-backward algorithm; past the end, anything."""
    alphas, beta = _forward(emissions, inside, start, transitions), end.expand_as(emissions[:, 0])
    betas = [beta]
    for i in range(emissions.shape[1] - 1, 0, -1):
        step = torch.logsumexp(transitions + (emissions[:, i] + beta)[:, None, :], dim=2)
        beta = torch.where(inside[:, i, None], step, beta)
        betas.append(beta)
    return (torch.stack(alphas, 1) + torch.stack(betas[::-1], 1)).softmax(-1)


def viterbi(emissions: Tensor, inside: Tensor, start: Tensor, transitions: Tensor, end: Tensor) -> Tensor:
    """int64 [B, W]: the tags of the highest score; past the end of a sequence its last tag. -inf forbids."""
    best, came_from = start + emissions[:, 0], []
    for i in range(1, emissions.shape[1]):
        score, previous = (best[:, :, None] + transitions).max(dim=1)
        here = inside[:, i, None]
        stay = torch.arange(best.shape[1], device=best.device).expand_as(previous)
        best, previous = torch.where(here, score + emissions[:, i], best), torch.where(here, previous, stay)
        came_from.append(previous)
    tags = [(best + end).argmax(1)]
    for previous in reversed(came_from):
        tags.append(previous.gather(1, tags[-1][:, None]).squeeze(1))
    return torch.stack(tags[::-1], dim=1)
