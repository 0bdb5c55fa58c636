"""The fingerprint of weights: of their values, however they lie in memory."""

from hashlib import sha256

import pytest
import torch

from dyto.models.stock import weights_fingerprint


def model(**weights):
    made = torch.nn.Module()
    for name, weight in weights.items():
        made.register_parameter(name, torch.nn.Parameter(weight, requires_grad=weight.is_floating_point()))
    return made


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("shape", [(), (0,), (255,), (257,), (33, 70), (3, 5, 64)])
def test_it_is_a_hash_of_evenly_spaced_values(shape, dtype):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    every = max(1, weight.numel() // 256)
    values = weight.flatten()[::every][:256].float()
    expected = sha256(f"w {tuple(shape)}".encode() + values.numpy().tobytes()).hexdigest()[:16]
    assert weights_fingerprint(model(w=weight)) == expected


def test_a_weight_that_lies_otherwise_in_memory_is_the_same():
    weight = torch.randn(33, 70, generator=torch.Generator().manual_seed(2))
    turned = weight.t().contiguous().t()
    assert not turned.is_contiguous()
    assert weights_fingerprint(model(w=turned)) == weights_fingerprint(model(w=weight))


def test_another_name_shape_or_value_is_another():
    weight = torch.ones(4, 6)
    other = weight.clone()
    other[3, 5] = 2
    found = [weights_fingerprint(model(w=weight)), weights_fingerprint(model(v=weight))]
    found += [weights_fingerprint(model(w=weight.view(6, 4))), weights_fingerprint(model(w=other))]
    assert len(set(found)) == 4


def test_weights_that_are_elsewhere_count_by_name_and_shape():
    away = [weights_fingerprint(model(w=torch.empty(shape, device="meta"))) for shape in ((4, 6), (4, 6), (6, 4))]
    assert away[0] == away[1] != away[2]
