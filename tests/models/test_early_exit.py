"""A tower that is left as soon as everything that is read of it is there."""

import threading

import pytest
import torch

from dyto.models.early_exit import states_of


@pytest.fixture
def tower(tiny):
    return tiny.tower()


@pytest.fixture
def layers(tower):
    return getattr(tower, "vision_model", tower).encoder.layers


@pytest.fixture
def pixels():
    return torch.rand(2, 3, 84, 84, generator=torch.Generator().manual_seed(0))


def runs_of(layers, call):
    """How often each layer runs during a call."""
    counts = [0] * len(layers)

    def counted(number):
        def hook(*_):
            counts[number] += 1

        return hook

    hooks = [layer.register_forward_hook(counted(number)) for number, layer in enumerate(layers)]
    try:
        call()
    finally:
        for hook in hooks:
            hook.remove()
    return counts


@torch.inference_mode()
@pytest.mark.parametrize("wanted", [{4}, {0}, {1, 3}, {5}, {0, 2, 5}])
def test_the_states_are_those_of_the_whole_tower(tower, layers, pixels, wanted):
    states = states_of(tower, layers, wanted, pixels)
    expected = tower(pixels, output_hidden_states=True).hidden_states
    assert set(states) == wanted
    assert all(torch.equal(state, expected[number]) for number, state in states.items())


@torch.inference_mode()
@pytest.mark.parametrize(("last", "runs"), [(4, [1, 1, 1, 1, 0]), (2, [1, 1, 0, 0, 0]), (5, [1] * 5)])
def test_no_layer_runs_after_the_last_wanted_state(tower, layers, pixels, last, runs):
    assert runs_of(layers, lambda: states_of(tower, layers, {0, last}, pixels)) == runs


def test_the_bundled_model_does_not_run_its_last_layer(tiny, layers):
    frames = torch.zeros(3, 84, 84, 3, dtype=torch.uint8).numpy()
    assert runs_of(layers, lambda: tiny.encode(list(frames))) == [1, 1, 1, 1, 0]


@torch.inference_mode()
def test_the_stock_tower_is_left_as_it_was(tower, layers, pixels):
    before = [len(layer._forward_pre_hooks) for layer in layers]
    states_of(tower, layers, {4}, pixels)
    with pytest.raises(ValueError, match="image size"):
        states_of(tower, layers, {4}, pixels[..., :70])
    assert [len(layer._forward_pre_hooks) for layer in layers] == before
    assert runs_of(layers, lambda: tower(pixels)) == [1] * 5


@torch.inference_mode()
def test_another_thread_may_run_the_whole_tower_in_the_meantime(tower, layers, pixels):
    expected, found = tower(pixels).last_hidden_state, []

    @torch.inference_mode()
    def run():
        found.append(tower(pixels).last_hidden_state)

    def meanwhile(*_):
        if threading.current_thread() is threading.main_thread():
            thread = threading.Thread(target=run)
            thread.start()
            thread.join()

    hook = layers[1].register_forward_pre_hook(meanwhile)
    try:
        states_of(tower, layers, {4}, pixels)
    finally:
        hook.remove()
    assert torch.equal(found[0], expected)
