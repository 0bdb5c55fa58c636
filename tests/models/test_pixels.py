"""The sizes that frames are brought to."""

import numpy as np
import pytest
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

import dyto
from dyto.models.pixels import NativeSize


@pytest.mark.parametrize("side", [28, 32])
def test_native_sizes_are_those_of_the_stock_image_processor(side):
    size = NativeSize(side, least=128, most=768)
    rng = np.random.default_rng(0)
    shapes = [*rng.integers(20, 3000, (300, 2)).tolist(), [720, 1280], [1080, 1920], [14, 2799], [70, 42], [1, 1]]
    for height, width in shapes:
        found = size(height, width)
        assert found == smart_resize(height, width, side, 128 * side**2, 768 * side**2), (height, width)
        assert size(*found) == found  # what was resized once stays as it is
        assert found[0] % side == found[1] % side == 0
        assert 128 <= found[0] * found[1] // side**2 <= 768


def test_a_frame_that_is_a_mere_line_is_refused():
    with pytest.raises(dyto.VideoError, match="frames of 2x401, expected no side more than 200 times"):
        NativeSize(28, 128, 768)(2, 401)


def test_frames_are_sampled_in_their_native_size():
    video = np.random.default_rng(0).integers(0, 255, (4, 90, 161, 3), dtype=np.uint8)
    size = NativeSize(8, least=4, most=24)
    frames = dyto.sample_frames(video, size=size)
    assert frames.data.shape[1:3] == size(90, 161) == (24, 48)
    assert frames.source_size == (90, 161)
    once = Image.fromarray(video[2]).resize((48, 24), Image.Resampling.BICUBIC)
    assert np.array_equal(frames.data[2], np.asarray(once))
