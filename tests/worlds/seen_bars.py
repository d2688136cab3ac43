"""Progress that remembers what it was told."""

from contextlib import nullcontext


class SeenBars:
    """Makes bars; ``made`` are their totals, units and words, ``counts`` what all were told."""

    def __init__(self):
        self.calls, self.counts = [], []

    def __call__(self, total, unit, words):
        self.calls.append((total, unit, words))
        return nullcontext(self)

    def to(self, count, words=""):
        self.counts.append(count)
