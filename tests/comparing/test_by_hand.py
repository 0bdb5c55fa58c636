"""Every figure of a comparison, recomputed from its rows by another hand: plain Python, as docs/compare.md says."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from comparing.rows_by_hand import cell, rows
from dyto.comparing.tally import comparisons, standings

ALPHA = Fraction(1, 20)


def recorded(seed, videos):
    """Rows of three strategies about so many videos, with one to four questions each."""
    rng = np.random.default_rng(seed)
    sizes = {f"video {i:03}": int(rng.integers(1, 5)) for i in range(videos)}
    chances = {"uniform": 0.4, "dyto": 0.75, "evs": 0.5}
    cells = {name: cell(name) for name in chances}
    found = []
    for name, chance in chances.items():
        letters = {video: "".join(map(str, rng.binomial(1, chance, size))) for video, size in sizes.items()}
        found += rows(cells[name], letters)
    return cells, found


def by_video(found, one, other):
    """For every video the sum of the differences, and the number of questions."""
    right = {(row["strategy"], row["place"]): int(row["choice"] == row["answer_number"]) for row in found}
    sums, counts = {}, {}
    for row in found:
        if row["strategy"] == one:
            video, place = row["video_name"], row["place"]
            sums[video] = sums.get(video, 0) + right[one, place] - right[other, place]
            counts[video] = counts.get(video, 0) + 1
    return list(sums.values()), list(counts.values())


def p_by_hand(sums):
    """The share of all ways to set the signs whose sum is as far from zero."""
    observed = abs(sum(sums))
    ways = [
        abs(sum(sign * d for sign, d in zip(signs, sums, strict=True))) for signs in product((1, -1), repeat=len(sums))
    ]
    return Fraction(sum(way >= observed for way in ways), len(ways))


def interval_by_hand(sums, counts):
    """The ends by the means of all subsets and of what they leave."""
    smaller, larger = [], []
    for chosen in product((0, 1), repeat=len(sums)):
        inside = [(d, n) for d, n, c in zip(sums, counts, chosen, strict=True) if c]
        outside = [(d, n) for d, n, c in zip(sums, counts, chosen, strict=True) if not c]
        if not inside or not outside:
            smaller.append(Fraction(-1))
            larger.append(Fraction(1))
            continue
        means = [Fraction(sum(d for d, _ in part), sum(n for _, n in part)) for part in (inside, outside)]
        smaller.append(min(means))
        larger.append(max(means))
    refused = int(ALPHA * len(smaller))  # so many of the outermost are within 5 %
    return sorted(smaller)[refused], sorted(larger, reverse=True)[refused]


def holm_by_hand(p_values):
    found, largest = {}, 0.0
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p))
        found[name] = largest
    return found


@pytest.mark.parametrize("seed", range(4))
def test_every_figure_is_recomputed_from_the_rows(seed):
    cells, found = recorded(seed, 11)
    scored, questions = standings(list(cells.values()), found, "choice")
    lines = comparisons(scored, questions, ["uniform", "evs"])
    p_values = {}
    for name in ("dyto", "evs"):
        line = lines[cells[name].key]["baseline"]
        sums, counts = by_video(found, name, "uniform")
        assert line["value"] == pytest.approx(sum(sums) / sum(counts))
        p_values[name] = line["p"]
        assert line["p"] == pytest.approx(float(p_by_hand(sums)))
        low, high = interval_by_hand(sums, counts)
        assert (line["low"], line["high"]) == pytest.approx((float(low), float(high)))
        assert (line["p"] <= 0.05) == (low > 0 or high < 0)
        assert (line["videos"], line["questions"]) == (11, sum(counts))
    if "rival" in lines[cells["dyto"].key]:
        assert lines[cells["dyto"].key]["rival"]["against"] == "evs"
        p_values["dyto - evs"] = lines[cells["dyto"].key]["rival"]["p"]
    corrected = holm_by_hand(p_values)
    for name in ("dyto", "evs"):
        assert lines[cells[name].key]["baseline"]["p_holm"] == pytest.approx(corrected[name])


def test_beyond_fourteen_videos_the_subsets_are_those_that_the_page_names():
    cells, found = recorded(9, 60)
    scored, questions = standings(list(cells.values()), found, "choice")
    line = comparisons(scored, questions, ["uniform"])[cells["dyto"].key]["baseline"]
    sums, counts = (np.array(part) for part in by_video(found, "dyto", "uniform"))
    chosen = np.random.default_rng(0).integers(0, 2, (10_000, 60), dtype=np.int8).astype(bool)
    inside, within = [float(sums[c].sum()) for c in chosen], [int(counts[c].sum()) for c in chosen]
    means = [sorted((i / w, (sums.sum() - i) / (counts.sum() - w))) for i, w in zip(inside, within, strict=True)]
    highest = sorted((m[1] for m in means), reverse=True)
    assert line["high"] == pytest.approx(highest[500])
    lowest = sorted(m[0] for m in means)
    at_or_below = sum(m <= 0 for m in lowest)
    weight = line["p"] / at_or_below if at_or_below else 0.0
    rest = (1 - line["p"]) / (len(lowest) - at_or_below)
    reached = np.cumsum([weight] * at_or_below + [rest] * (len(lowest) - at_or_below)) + (
        line["p"] if not at_or_below else 0
    )
    assert line["low"] == pytest.approx(lowest[int(np.argmax(reached > 0.05 + 1e-12))])
