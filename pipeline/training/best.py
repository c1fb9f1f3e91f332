"""Which measurement of a training counts, and the weights that gave it."""

from torch import Tensor

from pipeline.objectives.objective import Objective


class Best:
    """The last measurement, or with a metric's name the best, with the weights that gave it.

    The highest is the best, of what is called a loss the lowest.
    """

    def __init__(self, objective: Objective, metric: str) -> None:
        self.objective, self.metric = objective, metric
        self.evaluation: dict[str, float] = {}
        self.weights: dict[str, Tensor] = {}
        self.stale = 0
        """Measurements since the best one."""

    def see(self, evaluation: dict[str, float]) -> dict[str, float]:
        """The same measurement, remembered where it is the best yet."""
        better = not self.evaluation or not self.metric or self._score(evaluation) > self._score(self.evaluation)
        self.stale = 0 if better else self.stale + 1
        if better:
            self.evaluation = evaluation
        if better and self.metric:  # a true copy: detach() alone would go on changing
            self.weights = {name: t.detach().cpu().clone() for name, t in self.objective.state_dict().items()}
        return evaluation

    @property
    def state(self) -> dict[str, object]:
        """What a checkpoint holds of it, beside the weights."""
        return {"evaluation": self.evaluation, "stale": self.stale}

    def resume(self, state: dict[str, object], weights: dict[str, Tensor]) -> None:
        """Go on from what a checkpoint held."""
        self.evaluation, self.stale, self.weights = state["evaluation"], state["stale"], weights

    def _score(self, evaluation: dict[str, float]) -> float:
        value = evaluation[self.metric]
        return -value if self.metric.endswith("loss") else value

    def restore(self) -> None:
        """Put the best weights into the objective; the last ones stay where no metric chooses."""
        if self.weights:
            self.objective.load_state_dict(self.weights)
