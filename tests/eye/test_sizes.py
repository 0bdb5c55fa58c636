"""The sizes in which the bundled eye sees pictures, and the 7 x 7 patches that it makes of any of them."""

import numpy as np
import pytest
import torch

import dyto
from dyto.eye import load_eye
from dyto.eye.lite0 import GRID, regridded
from dyto.eye.sizes import SIZES, by_size

EVERY = [size for wide in SIZES.sizes for size in {wide, wide[::-1]}]


@pytest.fixture(scope="module")
def eye():
    return load_eye()


def pictures(*sizes):
    rng = np.random.default_rng(4)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


@pytest.mark.parametrize("size", EVERY)
def test_each_size_keeps_itself_and_suits_the_network(size):
    assert SIZES(*size) == size
    assert not size[0] % 32
    assert not size[1] % 32


@pytest.mark.parametrize("height", [1, 7, 90, 224, 480, 1080, 4000])
@pytest.mark.parametrize("width", [1, 16, 91, 224, 640, 1920, 3999])
def test_a_picture_gets_the_nearest_aspect_ratio_upright_as_wide(height, width):
    tall, wide = SIZES(height, width)
    assert SIZES(width, height) == (wide, tall)
    off = abs(np.log(wide / tall) - np.log(width / height))
    assert off <= min(abs(np.log(w / h) - np.log(width / height)) for h, w in EVERY) + 1e-9


@pytest.mark.parametrize("size", [(480, 854), (480, 640), (1000, 1000), (900, 1000), (854, 480), (1, 1000), (9, 8)])
def test_pictures_up_to_4_to_3_are_hardly_squeezed_and_others_are_made_4_to_3(size):
    tall, wide = SIZES(*size)
    aspect = min(max(size[1] / size[0], 3 / 4), 4 / 3)
    assert 0.9 < (wide / tall) / aspect < 1.1


@pytest.mark.parametrize("places", [(7, 7), (6, 11), (12, 7), (3, 17), (1, 1), (5, 30), (14, 21)])
def test_patches_are_means_of_areas_and_keep_the_mean(places):
    x = torch.rand(2, 3, *places, dtype=torch.float64)
    patches = regridded(x)
    assert patches.shape == (2, 3, GRID, GRID)
    torch.testing.assert_close(patches.mean((2, 3)), x.mean((2, 3)))
    fine = x.repeat_interleave(GRID, 2).repeat_interleave(GRID, 3)  # (2, 3, 7 h, 7 w): whole numbers of cells a patch
    torch.testing.assert_close(patches, torch.nn.functional.avg_pool2d(fine, places))
    if places == (GRID, GRID):
        assert torch.equal(patches, x)


@pytest.mark.parametrize("size", [(352, 192), (1, 1000), (1000, 1), (1, 1), (33, 47), (90, 160)])
def test_a_picture_of_any_size_has_49_patches(eye, size):
    patches = eye.patches(pictures(size))
    assert patches.shape == (1, 49, eye.width)
    assert torch.isfinite(patches).all()


def test_pictures_of_many_sizes_are_seen_in_their_order_as_they_are_alone(eye):
    many = pictures((90, 160), (160, 90), (90, 160), (64, 64), (1, 1000), (60, 80), (160, 90))
    together = eye.patches(many)
    for picture, patches in zip(many, together, strict=True):
        torch.testing.assert_close(eye.patches([picture])[0], patches, atol=1e-4, rtol=1e-4)
    model = dyto.load_model("nouns", device="cpu")
    torch.testing.assert_close(model.encode(many).patches(), together, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(eye.summaries(many), together.mean(1), atol=1e-4, rtol=1e-4)


def test_pictures_of_one_size_pass_the_network_together():
    seen = []
    by_size(pictures((90, 160), (160, 90), (45, 80)), lambda some: seen.append(len(some)) or torch.zeros(len(some)))
    assert sorted(seen) == [1, 2]


def test_the_network_sees_what_it_would_see_of_the_resized_picture(eye):
    """The mean of the patches is the mean of the network's own places."""
    (picture,) = pictures(SIZES.sizes[2])
    x = (torch.from_numpy(picture)[None].permute(0, 3, 1, 2).float() - 127) / 128
    with torch.inference_mode():
        net = eye.net
        places = net.head(net.blocks(net.stem(x).clamp(0, 6))).clamp(0, 6)
    assert places.shape[2:] != (GRID, GRID)
    torch.testing.assert_close(eye.summaries([picture])[0], places.mean((2, 3))[0], atol=1e-4, rtol=1e-4)


def test_an_upright_film_is_seen_upright():
    model = dyto.load_model("nouns", device="cpu")
    rng = np.random.default_rng(0)
    film = rng.integers(0, 256, (4, 96, 54, 3), dtype=np.uint8)
    frames = dyto.sample_frames(film, size=model.image_size)
    assert frames.data.shape[1:3] == SIZES(96, 54)
    torch.testing.assert_close(model.encode(frames).summary, model.encode(list(film)).summary, atol=0.02, rtol=0.02)
