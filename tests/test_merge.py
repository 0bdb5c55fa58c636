"""Token merging: golden values, counts, order, ties, and the fast path against the plain one."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from dyto.merge import (
    ORDERS,
    REDUCTIONS,
    SPLITS,
    MergePlan,
    match_tokens,
    merge_tokens,
    merge_with_owners,
    similarity_metric,
)


def tokens(batch=3, n=64, dim=64, seed=0, dtype=torch.float32):
    return torch.randn(batch, n, dim, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def ladder(n, keep):
    """The number of merges of each round."""
    rounds = []
    while n > keep:
        rounds.append(min(n - keep, n // 2))
        n -= rounds[-1]
    return rounds


def plain_merge(x, keep, reduce, split, order):
    """One frame (N, D), token by token: the definition, without tensors."""
    rows = [row.double() for row in x]
    while len(rows) > keep:
        n, dim = len(rows), x.shape[1]
        r = min(n - keep, n // 2)
        metric = [row.view(16, dim // 16).mean(0) if dim % 16 == 0 else row for row in rows]
        metric = [m / m.norm() for m in metric]
        a = list(range(n // 2)) if split == "halves" else list(range(0, n, 2))
        b = list(range(n // 2, n)) if split == "halves" else list(range(1, n, 2))
        best = []
        for i in a:
            scores = [float(metric[i] @ metric[j]) for j in b]
            best.append((max(scores), scores.index(max(scores))))
        ranked = sorted(range(len(a)), key=lambda k: -best[k][0])  # stable: ties to the lower index
        groups = {j: [rows[j]] for j in b}
        for k in ranked[:r]:
            groups[b[best[k][1]]].append(rows[a[k]])
        merged = {
            j: torch.stack(group).amax(0) if reduce == "max" else torch.stack(group).mean(0)
            for j, group in groups.items()
        }
        kept = [(a[k], rows[a[k]]) for k in ranked[r:]] + [(j, merged[j]) for j in b]
        if order == "raster":
            kept.sort(key=lambda pair: pair[0])
        rows = [row for _, row in kept]
    return torch.stack(rows)


def test_merged_tokens_equal_the_golden_files(golden):
    cases = golden("merging.npz")
    assert len(cases) >= 7
    for case in cases:
        x, expected = torch.tensor(case["tokens"]), torch.tensor(case["merged"])
        assert ladder(len(x), len(expected)) == case["r"].tolist()
        reduce = {"amax": "max", "mean": "mean"}[str(case["mode"])]
        columns = case.get("columns", np.arange(x.shape[1]))
        for dtype in (torch.float32, torch.float64):
            merged = merge_tokens(x[None].to(dtype), len(expected), reduce=reduce)[0, :, columns]
            torch.testing.assert_close(merged, expected.to(dtype), rtol=1e-5, atol=1e-6)


def test_the_published_ladder_of_tokens_per_frame():
    published = {1: 576, 6: 576, 7: 525, 12: 306, 13: 283, 20: 184, 25: 147}
    assert {t: min(576, 3680 // t) for t in published} == published
    assert ladder(576, 525) == [51]
    assert ladder(576, 283) == [288, 5]
    assert ladder(576, 7200 // 50) == [288, 144]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("reduce", ["max", "mean"])
@pytest.mark.parametrize(("n", "keep"), [(24, 17), (25, 12), (25, 3), (7, 1), (2, 1)])
def test_batches_equal_the_definition_token_by_token(split, order, reduce, n, keep):
    x = tokens(batch=3, n=n, dim=32, seed=n, dtype=torch.float64)
    merged = merge_tokens(x, keep, reduce=reduce, split=split, order=order)
    for frame, result in zip(x, merged, strict=True):
        torch.testing.assert_close(result, plain_merge(frame, keep, reduce, split, order))


@pytest.mark.parametrize("n", [1, 2, 3, 36, 37])
@pytest.mark.parametrize("keep", [1, 2, 5, 36, 100])
@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_the_number_kept_is_exact(n, keep, reduce):
    x = tokens(n=n)
    merged, owners = merge_with_owners(x, keep, reduce=reduce)
    assert merged.shape == (3, min(n, keep), 64)
    assert owners.shape == (3, n)
    for row in owners:
        assert sorted(set(row.tolist())) == list(range(min(n, keep)))  # each token stands for a patch


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("keep", [50, 20, 3])
def test_owners_say_which_patches_a_token_holds(order, split, keep):
    x = tokens(seed=keep)
    merged, owners = merge_with_owners(x, keep, "max", split, order)
    for frame in range(len(x)):
        for token in range(keep):
            held = x[frame][owners[frame] == token]
            assert torch.equal(merged[frame, token], held.amax(0))
    weighted, owners = merge_with_owners(x, keep, "weighted-mean", split, order)
    for frame in range(len(x)):
        for token in range(keep):
            torch.testing.assert_close(weighted[frame, token], x[frame][owners[frame] == token].mean(0))


def test_raster_order_keeps_each_token_at_the_place_of_its_anchor():
    x = tokens(n=36)
    merged, owners = merge_with_owners(x, 20, order="raster")
    unmerged = [(owners[0] == token).nonzero().flatten() for token in range(20)]
    places = [int(p[0]) for p in unmerged if len(p) == 1]
    assert places == sorted(places)
    release, _ = merge_with_owners(x, 20)
    assert not torch.equal(release, merged)
    assert torch.equal(release[0].sort(0).values, merged[0].sort(0).values)  # the same tokens, in one round


def test_ties_go_to_the_lower_index():
    x = torch.zeros(1, 8, 16)
    x[..., 0] = 1.0
    x[0, :, 1] = torch.arange(8) * 0.0  # all alike: every score is 1
    plan = match_tokens(similarity_metric(x), r=2)
    assert plan.kept.tolist() == [[2, 3, 4, 5, 6, 7]]
    assert plan.owner.tolist() == [[2, 2, 0, 1, 2, 3, 4, 5]]  # 0 and 1 went into 4, the first b


def test_frames_do_not_influence_one_another():
    x = tokens(batch=5)
    together = merge_tokens(x, 13)
    for frame in range(5):
        assert torch.equal(merge_tokens(x[frame : frame + 1], 13)[0], together[frame])


def test_zero_tokens_are_similar_to_nothing_and_merge_last():
    x = tokens(batch=1, n=16, dim=32).abs()
    x[0, 3] = 0
    _, owners = merge_with_owners(x, 9)
    assert (owners[0] == owners[0, 3]).sum() == 1  # seven of the other a's were merged before it


def test_dimensions_that_16_does_not_divide_compare_the_features_themselves():
    x = tokens(dim=20)
    assert similarity_metric(x).shape == (3, 64, 20)
    assert similarity_metric(tokens(dim=32)).shape == (3, 64, 2)
    assert similarity_metric(tokens(dim=48)).shape == (3, 64, 3)
    assert similarity_metric(tokens(dim=48), groups=2).shape == (3, 64, 24)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_half_precision_keeps_its_dtype_and_comes_near(dtype, reduce):
    x = tokens(n=36).to(dtype)
    merged, owners = merge_with_owners(x, 30, reduce=reduce)
    assert merged.dtype == dtype
    wide, same = merge_with_owners(x.float(), 30, reduce=reduce)
    assert torch.equal(owners, same)
    torch.testing.assert_close(merged.float(), wide, rtol=1e-2, atol=1e-2)


def test_tokens_can_be_written_where_they_are_wanted():
    x = tokens()
    for keep in (64, 40, 10):
        out = torch.zeros(3, keep, 64)
        merged, _ = merge_with_owners(x, keep, out=out)
        assert merged.data_ptr() == out.data_ptr()
        assert torch.equal(out, merge_tokens(x, keep))
    x, out = tokens(batch=1, n=600, dim=16), torch.zeros(1, 300, 16)
    assert merge_with_owners(x, 300, out=out)[0].data_ptr() == out.data_ptr()


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_a_plan_that_merges_nothing_changes_nothing(reduce):
    x = tokens()
    plan = match_tokens(similarity_metric(x), r=0, order="raster")
    assert torch.equal(plan.apply(x, reduce), x)
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.best = None  # type: ignore[misc]


def test_sizes_weigh_where_they_are_asked_to_and_nowhere_else():
    x, sizes = tokens(), torch.arange(1, 65).expand(3, -1)
    plan = match_tokens(similarity_metric(x), r=20)
    assert torch.equal(plan.apply(x, "mean", sizes), plan.apply(x, "mean"))
    assert torch.equal(plan.apply(x, "weighted-mean"), plan.apply(x, "mean"))
    weighted = plan.apply(x, "weighted-mean", sizes)
    held = (plan.owner[0] == 30).nonzero().flatten()
    expected = (x[0, held] * sizes[0, held, None]).sum(0) / sizes[0, held].sum()
    torch.testing.assert_close(weighted[0, 30], expected)


def test_an_accelerator_adds_by_a_matrix_product_and_a_processor_does_not(monkeypatch):
    x = tokens(dtype=torch.float64)
    plan = match_tokens(similarity_metric(x), r=30)
    moved = x[:, plan.a].flatten(0, 1)
    target = (plan.owner[:, plan.a] + 34 * torch.arange(3)[:, None]).flatten()
    expected = torch.zeros(3 * 34, 64, dtype=torch.float64).index_add(0, target, moved)
    torch.testing.assert_close(plan._product(moved), expected.view(3, 34, 64))
    monkeypatch.setattr(MergePlan, "_product", lambda self, moved: torch.full((3, 34, 64), 7.0))
    torch.testing.assert_close(plan._sum(torch.ones(3 * 34, 64, dtype=torch.float64), moved, target), expected + 1)

    class There:
        """Rows on another device."""

        def __init__(self, kind):
            self.device = SimpleNamespace(type=kind)

        def __add__(self, product):
            return product

    monkeypatch.setattr(MergePlan, "_product", lambda self, moved: SimpleNamespace(view_as=lambda kept: "product"))
    for kind in ("cuda", "mps", "xpu", "another"):
        assert plan._sum(There(kind), moved, target) == "product"


def test_the_input_is_left_as_it_was():
    x = tokens()
    before = x.clone()
    merge_tokens(x, 10)
    merge_tokens(x, 100)
    assert torch.equal(x, before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keep": 0}, "at least 1 token"),
        ({"reduce": "amax"}, "expected one of max, mean, weighted-mean"),
        ({"split": "thirds"}, "expected one of halves, alternate"),
        ({"order": "random"}, "expected one of release, raster"),
        ({"x": torch.zeros(4, 8)}, "expected \\(B, N, D\\)"),
        ({"x": torch.zeros(1, 2, 4, 8)}, "expected \\(B, N, D\\)"),
        ({"x": torch.zeros(1, 0, 8)}, "expected \\(B, N, D\\)"),
        ({"x": torch.full((1, 8, 16), float("nan"))}, "NaN"),
    ],
)
def test_what_cannot_be_merged_is_an_error(change, message):
    with pytest.raises(ValueError, match=message):
        merge_tokens(**{"x": tokens(), "keep": 4, **change})


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("reduce", REDUCTIONS)
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("keep", [9, 3, 1])
def test_what_is_no_number_is_an_error_wherever_it_stands_and_however_many_rounds_hide_it(bad, reduce, split, keep):
    for place in range(10):
        x = tokens(batch=2, n=10, dim=32)
        x[1, place, 5] = bad
        with pytest.raises(ValueError, match="NaN or infinity"):
            merge_tokens(x, keep, reduce=reduce, split=split)


def test_an_empty_batch_gives_an_empty_batch():
    assert merge_tokens(torch.zeros(0, 8, 16), 4).shape == (0, 4, 16)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_the_same_on_a_gpu(reduce):
    x = tokens(n=576, dim=256)
    for keep in (368, 147):
        first = merge_tokens(x.cuda(), keep, reduce=reduce)
        assert torch.equal(first, merge_tokens(x.cuda(), keep, reduce=reduce))  # from run to run
        torch.testing.assert_close(first.cpu(), merge_tokens(x, keep, reduce=reduce), rtol=1e-5, atol=1e-5)


class Waits(TorchDispatchMode):
    """Counts how often a value is fetched to decide something: on an accelerator each time waits for it."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        fetching = (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero, torch.ops.aten.equal)
        self.count += func.overloadpacket in fetching
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("keep", [63, 20, 3, 1])
def test_a_device_is_waited_for_once_however_many_rounds_there_are(keep):
    with Waits() as waits:
        merge_with_owners(tokens(), keep)
    assert waits.count == 1
