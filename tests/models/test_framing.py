"""The sizes that frames are brought to, against those of the stock image processors."""

import numpy as np
import pytest
from transformers.image_transforms import get_resize_output_image_size
from transformers.models.smolvlm import image_processing_pil_smolvlm as smolvlm

import dyto
from dyto.models.framing import AtMost, LongestSide, ShortestSide, center_cropped

SIZES = [(720, 1280), (1280, 720), (1, 3), (333, 334), (56, 56), (2160, 3840), (57, 55), (99, 1000)]


@pytest.mark.parametrize("size", SIZES)
def test_sizes_are_those_of_the_stock_image_processors(size):
    picture = np.zeros((3, *size), np.uint8)
    shortest = get_resize_output_image_size(picture, 336, default_to_square=False, input_data_format="channels_first")
    assert ShortestSide(336).scaled(*size) == shortest
    assert LongestSide(512)(*size) == smolvlm.get_resize_output_image_size(picture, 512)


@pytest.mark.parametrize("size", SIZES)
def test_a_video_is_never_decoded_larger_than_it_is(size):
    for fit in (ShortestSide(336), AtMost(1792)):
        assert all(1 <= side <= source for side, source in zip(fit(*size), size, strict=True))


def test_the_middle_is_cut_out():
    picture = np.zeros((40, 100, 3), np.uint8)
    picture[:, 30:70] = 255
    assert center_cropped([picture], 40).min() == 255
    assert center_cropped([picture.transpose(1, 0, 2)], 40).min() == 255


def test_a_strip_that_would_fill_the_memory_is_refused():
    with pytest.raises(dyto.VideoError, match="found frames of 2x9999, expected no side more than 200 times"):
        center_cropped([np.zeros((2, 9999, 3), np.uint8)], 336)
