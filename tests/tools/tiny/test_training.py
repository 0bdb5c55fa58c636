"""The recipe learns, goes on where it stopped, and refuses what does not belong to it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dyto.errors import ConfigError, ModelError
from dyto.synthetic.world import draw_scene
from dyto_tiny import trainer as recipe
from dyto_tiny.lessons import Picture, draw_picture, gallery
from dyto_tiny.model import build_model
from dyto_tiny.optim import Muon, orthogonalize
from dyto_tiny.pages import IGNORE, draw_lesson, token_ids
from dyto_tiny.talk import ATTENTION, pack, reduce_tokens, talk_loss
from dyto_tiny.tiles import NONE, tile_batch
from dyto_tiny.trainer import Trainer, TrainingSettings, write_checkpoint

RECIPE = Path(__file__).resolve().parents[3] / "tools" / "tiny"


@pytest.fixture
def small_gallery(monkeypatch):
    """A gallery that is drawn and encoded in a moment."""
    monkeypatch.setattr("dyto_tiny.lessons.SCENES", 48)
    monkeypatch.setattr("dyto_tiny.lessons.COMPOSITES", 6)
    gallery.cache_clear()
    yield
    gallery.cache_clear()


@pytest.mark.soak
def test_a_very_short_training_of_the_eye_learns(tmp_path: Path):
    trainer = Trainer(TrainingSettings(steps=60, eye_share=0.999, tiles=16), tmp_path / "state")
    losses = []
    for step in range(60):
        losses.append(trainer._eye_step(tile_batch(0, step, 16))["loss"])
        trainer.step += 1
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:5])


@pytest.mark.soak
def test_a_very_short_training_of_the_language_model_learns_to_answer(tmp_path: Path, small_gallery):
    trainer = Trainer(TrainingSettings(steps=61, eye_share=1 / 61, pictures=2), tmp_path / "state")
    trainer.step = 1
    trainer.optimizer = trainer._new_optimizer()
    losses = []
    for step in range(16):
        losses.append(trainer._talk_step(draw_lesson(0, step, 0, 0.06, 2))["loss"])
        trainer.step += 1
    assert np.mean(losses[-4:]) < 0.6 * np.mean(losses[:2])


@pytest.fixture
def quick_epochs(small_gallery, monkeypatch):
    """Another gallery in mid-run, too."""
    monkeypatch.setattr(recipe, "EPOCH", 2)


RESTARTED = TrainingSettings(seed=3, steps=7, eye_share=3 / 7, tiles=4, pictures=2)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The weights of a run that nothing stops, made when they are first wanted."""
    found = {}

    def weights():
        if not found:
            path = tmp_path_factory.mktemp("uninterrupted") / "whole"
            assert Trainer(RESTARTED, path).run()
            found.update(load_file(path))
        return found

    return weights


@pytest.mark.soak
@pytest.mark.parametrize("stop", [2, 3, 5])
def test_a_restarted_run_gives_the_same_weights(stop, tmp_path: Path, quick_epochs, uninterrupted):
    settings = RESTARTED
    first = uninterrupted()
    assert not Trainer(settings, tmp_path / "part").run(until=stop)
    moved = tmp_path / "elsewhere" / "state"
    moved.parent.mkdir()
    (tmp_path / "part").rename(moved)
    again = Trainer(settings, moved)
    assert again.step == stop
    assert again.run()
    second = load_file(moved)
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


@pytest.mark.soak
def test_a_signal_stops_after_a_whole_step_and_the_same_command_goes_on(tmp_path: Path):
    command = [sys.executable, "-m", "dyto_tiny.train", "--out", str(tmp_path / "out"), "--steps", "4000"]
    command += [
        "--state",
        str(tmp_path / "state"),
        "--eye-share",
        "0.9",
        "--tiles",
        "4",
        "--threads",
        "1",
        "--workers",
        "0",
    ]
    command += ["--device", "cpu"]
    with subprocess.Popen(command, cwd=RECIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if "step 25/" in line:
                break
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        assert process.wait(60) == 3, rest
    assert "goes on from" in rest
    step = Trainer(TrainingSettings(steps=4000, eye_share=0.9, tiles=4), tmp_path / "state").step
    assert 25 <= step < 4000


def test_a_state_of_other_settings_is_refused(tmp_path: Path):
    settings = TrainingSettings(steps=4, eye_share=0.9, tiles=2)
    Trainer(settings, tmp_path / "state").run(until=1)
    with pytest.raises(ConfigError, match="seed was 0, now 1"):
        Trainer(TrainingSettings(seed=1, steps=4, eye_share=0.9, tiles=2), tmp_path / "state")
    (tmp_path / "junk").write_bytes(b"no state")
    with pytest.raises(ModelError, match="not a training state"):
        Trainer(settings, tmp_path / "junk")


def test_the_checkpoint_has_its_record_beside_it(tmp_path: Path):
    trainer = Trainer(TrainingSettings(steps=4, eye_share=0.9, tiles=2), tmp_path / "state")
    trainer.run(until=1)
    write_checkpoint(trainer, tmp_path / "out")
    record = json.loads((tmp_path / "out" / "training.json").read_text())
    assert record["settings"]["steps"] == 4
    assert (tmp_path / "out" / "model.safetensors").stat().st_size < 16e6


def test_lessons_are_pure_functions_of_seed_and_step():
    first, second, other = tile_batch(5, 7, 3), tile_batch(5, 7, 3), tile_batch(5, 8, 3)
    assert all(torch.equal(first[name], second[name]) for name in first)  # type: ignore[literal-required]
    assert not torch.equal(first["images"], other["images"])
    pages = [draw_lesson(5, step, 0, 0.8, 2) for step in (7, 7, 8)]
    assert pages[0]["pictures"] == pages[1]["pictures"] != pages[2]["pictures"]
    assert torch.equal(pages[0]["pages"]["tokens"], pages[1]["pages"]["tokens"])


def test_patch_labels_agree_with_the_pixels():
    """A patch that is said to show no object shows the background's colour, one labelled otherwise does not."""
    batch = tile_batch(1, 0, 32)
    for image, kinds, count in zip(batch["images"].float(), batch["kinds"], batch["counts"], strict=True):
        if count < 0:
            continue
        patches = image.unfold(1, 14, 14).unfold(2, 14, 14).reshape(3, 36, -1)  # (3, 36, 196)
        spread = patches.std(2).amax(0)  # (36,)
        if (kinds == NONE).any() and ((kinds >= 0) & (kinds < NONE)).any():
            assert spread[kinds == NONE].median() < spread[(kinds >= 0) & (kinds < NONE)].median()


def test_an_exercise_on_a_page_is_answered_as_if_asked_alone():
    """The packed page gives the logits of single prompts: padding, columns and neighbours change nothing."""
    model = build_model(1)
    for parameter in model.parameters():
        parameter.data.mul_(3)  # logits that differ
    torch.manual_seed(0)
    visual = [torch.randn(n, 192) for n in (40, 7)]
    pages = draw_lesson(0, 3, 0, 0.9, 2)["pages"]
    caught = []
    hook = model.lm_head.register_forward_hook(lambda _m, _i, out: caught.append(out))
    model.model.language_model.set_attn_implementation(ATTENTION)
    with torch.no_grad():
        talk_loss(model, visual, pages)
    hook.remove()
    model.model.language_model.set_attn_implementation("sdpa")
    embed, start, checked = model.get_input_embeddings(), 0, 0
    for image, tokens, exercise, target in zip(
        visual, pages["tokens"], pages["exercise"], pages["target"], strict=True
    ):
        for column in range(len(tokens)):
            for number in exercise[column][exercise[column] > 0].unique_consecutive():
                mine = exercise[column] == number
                asked = target[column][mine] != IGNORE
                prefix = embed(torch.tensor([1, *token_ids("USER:")]))
                text = embed(tokens[column][mine])
                with torch.no_grad():
                    alone = model(inputs_embeds=torch.cat([prefix, image, text])[None]).logits[0, -len(text) :][asked]
                torch.testing.assert_close(alone, caught[0][start : start + len(alone)], atol=2e-3, rtol=1e-3)
                start += len(alone)
                checked += 1
    assert checked > 20
    assert start == len(caught[0])


def test_packing_is_that_of_stock_transformers(tmp_path: Path):
    from PIL import Image

    from dyto.models.adapters.tiny import build_processor

    model, processor = build_model(0), build_processor()
    rng = np.random.default_rng(0)
    for rows, columns in ((1, 1), (2, 2), (1, 2), (3, 2)):
        image = rng.integers(0, 255, (84 * rows, 84 * columns, 3), dtype=np.uint8)
        inputs = processor(images=Image.fromarray(image), text="USER: <image>\nHi ASSISTANT:", return_tensors="pt")
        with torch.no_grad():
            stock = model.model.get_image_features(inputs["pixel_values"], inputs["image_sizes"])
            stock = torch.cat(list(getattr(stock, "pooler_output", stock)))
            tower = model.model.vision_tower(inputs["pixel_values"][0], output_hidden_states=True)
            features = model.model.multi_modal_projector(tower.hidden_states[-2][:, 1:])
        ours = pack(features[0], features[1:], rows, columns, model.model.image_newline)
        torch.testing.assert_close(ours, stock, atol=1e-5, rtol=1e-4)
        assert len(ours) == (inputs["input_ids"] == model.config.image_token_index).sum()


@pytest.mark.parametrize("reduction", ["drop", "pool", "merge"])
@pytest.mark.parametrize("keep", [1, 5, 9, 23, 35])
def test_a_reduction_leaves_the_tokens_it_promises(reduction, keep):
    frames = torch.randn(3, 36, 192)
    picture = Picture(((0, 0),), (draw_scene(np.random.default_rng(0)),), "flat", -1, reduction, keep, seed=4)
    reduced = reduce_tokens(frames, picture)
    assert reduced.shape[::2] == (3, 192)
    assert reduced.shape[1] == keep or (reduction == "pool" and 1 <= reduced.shape[1] <= keep)
    assert torch.equal(reduced, reduce_tokens(frames, picture))


def test_pictures_fit_the_budget_and_name_every_scene():
    rng = np.random.default_rng(6)
    sizes = set()
    for _ in range(120):
        picture = draw_picture(rng, 0, 0, 0.9, short=False)
        sizes.add(len(picture.scenes))
        if picture.packing == "flat":
            assert len(picture.views) * picture.keep <= 230
        shown = list(dict.fromkeys(number for number, _ in picture.views))
        assert len(shown) == len(picture.scenes)
        kinds = [kind for scene in picture.scenes for kind in scene.kinds]
        assert len(kinds) == len(set(kinds))
    assert max(sizes) > 10


def test_muon_orthogonalizes_and_adam_moves_the_rest():
    x = orthogonalize(torch.randn(2, 8, 24, generator=torch.Generator().manual_seed(0)))
    values = torch.linalg.svdvals(x.float())
    assert 0.4 < values.min() < values.max() < 1.4
    layer = torch.nn.Linear(3, 3)
    optimizer = Muon([layer])
    assert not optimizer.matrices  # a bare linear layer is no hidden one
    target = torch.randn(5, 3)
    losses = []
    for _ in range(60):
        loss = (layer(target) - 1).square().mean()
        loss.backward()
        optimizer.step(scale=5.0)
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


def test_the_global_random_state_is_left_alone():
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    build_model(5)
    assert torch.equal(torch.rand(1), expected)


def test_drawing_a_lesson_is_quick():
    draw_lesson(0, 0, 0, 0.9, 1)  # draws the gallery
    began = time.perf_counter()
    for step in range(5):
        draw_lesson(0, step, 0, 0.9, 8)
    assert time.perf_counter() - began < 5.0
