"""Notices a training on hardest negatives that has collapsed to one point for all."""

CLOSE = 0.05  # of the loss to twice the margin, relative
POINTS = 30  # how long that must last, in points of the training curve
GROWTH = 0.01  # of the gap over that time, in units of the score


class CollapseWatch:
    """When all embeddings are alike, positive and hardest negative score the same, and each pair
    costs the margin twice, once per direction."""

    def __init__(self, margin: float):
        self.margin, self.warned = margin, False
        self.gaps: list[float] = []

    def add(self, loss: float, gap: float) -> str | None:
        """Take a point of the training curve on the hardest negatives: the mean loss per pair, and
        by how much the positive's score is above the hardest negative's, on average. Returns a
        warning, once, when the run looks collapsed."""
        twice = 2 * self.margin
        if self.warned or abs(loss - twice) > CLOSE * twice:
            self.gaps.clear()
            return None
        self.gaps.append(gap)
        if len(self.gaps) < POINTS:
            return None
        half = POINTS // 2
        before, after = self.gaps[-POINTS:-half], self.gaps[-half:]
        if sum(after) / half - sum(before) / half > GROWTH:
            return None
        self.warned = True
        return (
            f"the training looks collapsed: the loss per pair is {loss:.3f}, about twice the "
            f"margin ({twice:g}), and the positive scores {gap:+.3f} above the hardest negative, "
            "without growing. More epochs on the sum of all negatives (train.sum_epochs) or a "
            "lower train.lr help"
        )
