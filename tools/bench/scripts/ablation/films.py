"""Films of the synthetic world as a model sees them, made once and kept in a folder."""

import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

import dyto
from dyto.features import FrameFeatures
from dyto.synthetic.benchmark import SPLITS
from dyto.synthetic.films import REGIMES
from dyto.synthetic.videos import Asked, make_video
from dyto.video import Frames, sample_frames


class TrueScene(NamedTuple):
    """One true scene: sampled frames start .. end - 1, and whether it is a brief one among long ones."""

    start: int
    end: int
    needle: bool


class Watched(NamedTuple):
    """A film as a model sees it: the truth, the questions, and the features of its frames."""

    name: str
    regime: str
    scenes: list[TrueScene]
    asked: list[Asked]
    features: FrameFeatures

    def oracle(self):
        """Return the sampled frame in the middle of every true scene."""
        return np.unique([(scene.start + scene.end) // 2 for scene in self.scenes])


def watch(model, work, split, videos, regimes=REGIMES):
    """Yield films of a split, number by number through all regimes; read those of earlier runs from the folder."""
    weights = hashlib.sha256()
    for tensor in model.model.state_dict().values():
        weights.update(tensor.detach().float().numpy().tobytes())
    for number in range(videos):
        for regime in regimes:
            name = f"{split}_{regime}_{number:04d}"
            truth = _film(Path(work), name, (SPLITS[split], REGIMES.index(regime), number), regime, model.image_size)
            yield _watched(model, Path(work), name, weights.hexdigest()[:8], truth)


def _film(work, name, seed, regime, size):
    """Return the frames and the truth of one film: drawn, coded as H.264 and decoded."""
    path = work / f"{name}.npz"
    if not path.exists():
        work.mkdir(parents=True, exist_ok=True)
        video = work / f"{name}.{os.getpid()}.mp4"  # several processes may share the folder
        film, asked = make_video(video, seed, regime)
        frames = sample_frames(video, num_frames=100, size=size)
        video.unlink()
        scene = np.searchsorted([shot.end for shot in film.shots], frames.indices, side="right")  # (T,)
        bounds = [np.flatnonzero(scene == i) for i in range(len(film.shots))]
        truth = {
            "regime": regime,
            "scenes": [
                [int(b[0]), int(b[-1]) + 1, shot.needle] for b, shot in zip(bounds, film.shots, strict=True) if len(b)
            ],
            "asked": [list(a) for a in asked],
        }
        part = work / f"{name}.{os.getpid()}.part.npz"
        np.savez(
            part, data=frames.data, indices=frames.indices, seconds=frames.seconds, truth=np.array(json.dumps(truth))
        )
        part.replace(path)
    return path


def _watched(model, work, name, weights, path):
    with np.load(path) as film:
        truth = json.loads(str(film["truth"]))
        frames = Frames(film["data"], film["indices"], film["seconds"], source_size=film["data"].shape[1:3])
    kept = work / f"{name}_{weights}.pt"
    if kept.exists():
        projected = torch.load(kept, weights_only=True)
    else:
        with torch.inference_mode():
            seen = model.encode(frames)
            projected = torch.cat([seen.summary[:, None], seen.patches()], 1).half()  # (T, 1 + N, D)
        part = kept.with_suffix(f".{os.getpid()}.part")
        torch.save(projected, part)
        part.replace(kept)
    asked = [Asked(t, q, tuple(c) if c else None, a) for t, q, c, a in truth["asked"]]
    features = FrameFeatures.from_projected(projected.float(), indices=frames.indices, seconds=frames.seconds)
    return Watched(name, truth["regime"], [TrueScene(*s) for s in truth["scenes"]], asked, features)


def load_model(name=None):
    """Load the model in float32 on the CPU."""
    return dyto.load_model(name, device="cpu", dtype="float32")
