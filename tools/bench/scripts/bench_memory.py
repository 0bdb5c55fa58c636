"""Memory of each model: weights by precision, keys and values of a video, activations of the tower.

    python bench_memory.py [--tokens 3680] [--chunk 16] [MODEL ...]
    python bench_memory.py --measure llava-next-vicuna-7b [--device cuda] [--frames 100]

Computed from the shapes of the true architectures on the meta device; nothing is downloaded. The weights in bfloat16
stand beside the size of the download, which checks the shapes. With --measure a model of true size with random
weights is asked about random frames, and seconds and peak memory are reported beside what was computed.
"""

import argparse
import time
import weakref

import numpy as np
import torch
import transformers as stock
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import dyto
from dyto.models.adapters.tiny import build_config, build_tokenizer
from dyto.models.catalog import CATALOG
from dyto.models.families import FAMILIES
from dyto.models.loading.quantizing import LANGUAGE_PARTS
from dyto.models.pixels import Normalization
from dyto.models.towers import FrameTower

GB, GIB = 1e9, 2**30
BLOCK = 64
"""Weights of 4 bits that share one float32 scale."""


def text(kind, hidden, layers, intermediate, heads, kv, vocab, **more):
    return kind(
        hidden_size=hidden, num_hidden_layers=layers, intermediate_size=intermediate, num_attention_heads=heads,
        num_key_value_heads=kv, vocab_size=vocab, **more,
    )  # fmt: skip


def siglip(layers, side, patch=14, kind=stock.SiglipVisionConfig, **more):
    return kind(
        hidden_size=1152, intermediate_size=4304, num_hidden_layers=layers, num_attention_heads=16, image_size=side,
        patch_size=patch, **more,
    )  # fmt: skip


CLIP = stock.CLIPVisionConfig(
    hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16, image_size=336,
    patch_size=14, projection_dim=768,
)  # fmt: skip
VICUNA = (stock.LlamaConfig, 4096, 32, 11008, 32, 32, 32064)
VICUNA_13B = (stock.LlamaConfig, 5120, 40, 13824, 40, 40, 32064)
MISTRAL = (stock.MistralConfig, 4096, 32, 14336, 32, 8, 32064)
YI_34B = (stock.LlamaConfig, 7168, 60, 20480, 56, 8, 64064)
QWEN2_05B = (stock.Qwen2Config, 896, 24, 4864, 14, 2, 151936)
QWEN2_7B = (stock.Qwen2Config, 3584, 28, 18944, 28, 4, 152064)
SMOL = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}


def llava(kind, shape, tower=CLIP, **more):
    return lambda: kind(text_config=text(*shape), vision_config=tower, **more)


def internvl(shape):
    return lambda: stock.InternVLConfig(text_config=text(*shape), vision_config={}, tie_word_embeddings=False)


def onevision(shape, tied=False):
    return lambda: stock.LlavaOnevisionConfig(
        text_config=text(*shape, tie_word_embeddings=tied), vision_config=siglip(26, 384, vision_use_head=False),
        tie_word_embeddings=tied,
    )  # fmt: skip


def smolvlm(shape, vision, scale):
    def config():
        tower = stock.models.smolvlm.SmolVLMVisionConfig(**vision).to_dict()
        return stock.SmolVLMConfig(
            text_config=text(*shape).to_dict(), vision_config=tower, scale_factor=scale, tie_word_embeddings=False
        )

    return config


def gemma3(*shape):
    return lambda: stock.Gemma3Config(
        text_config=text(stock.Gemma3TextConfig, *shape, head_dim=256, sliding_window=1024),
        vision_config=siglip(27, 896, vision_use_head=False),
    )  # fmt: skip


def qwen(kind, width, layers, intermediate, heads, kv, vocab, **vision):
    def config():
        language = {
            "hidden_size": width, "num_hidden_layers": layers, "intermediate_size": intermediate, "vocab_size": vocab,
            "num_attention_heads": heads, "num_key_value_heads": kv,
        }  # fmt: skip
        tied = vision.get("tied", False)
        tower = {key: value for key, value in vision.items() if key != "tied"} | {"out_hidden_size": width}
        return kind(text_config=language, vision_config=tower, tie_word_embeddings=tied)

    return config


def qwen3(hidden, layers, intermediate, heads):
    return (stock.Qwen3Config, hidden, layers, intermediate, heads, 8, 151936)


def qwen3_moe():
    """Return Qwen3-VL 30B-A3B: 128 experts, of which a token uses eight."""
    language = {
        "hidden_size": 2048, "num_hidden_layers": 48, "intermediate_size": 6144, "moe_intermediate_size": 768,
        "num_experts": 128, "num_experts_per_tok": 8, "num_attention_heads": 32, "num_key_value_heads": 4,
        "head_dim": 128, "vocab_size": 151936,
    }  # fmt: skip
    return stock.Qwen3VLMoeConfig(text_config=language, vision_config={"out_hidden_size": 2048})


SHAPES = {
    "tiny": build_config,
    "llava-next-vicuna-7b": llava(stock.LlavaNextConfig, VICUNA),
    "llava-next-mistral-7b": llava(stock.LlavaNextConfig, MISTRAL),
    "llava-next-34b": llava(stock.LlavaNextConfig, YI_34B),
    "llava-1.5-7b": llava(stock.LlavaConfig, VICUNA),
    "llava-1.5-13b": llava(stock.LlavaConfig, VICUNA_13B),
    "llava-next-video-7b": llava(stock.LlavaNextVideoConfig, VICUNA),
    "llava-onevision-0.5b": onevision(QWEN2_05B, tied=True),
    "llava-onevision-7b": onevision((*QWEN2_7B[:-1], 152128)),
    "internvl3-1b": internvl((*QWEN2_05B[:-1], 151674)),
    "internvl3-8b": internvl((*QWEN2_7B[:-1], 151674)),
    "llava-onevision-72b": onevision((stock.Qwen2Config, 8192, 80, 29568, 64, 8, 152064)),
    "llava-video-7b": onevision(QWEN2_7B),
    "internvl3.5-1b": internvl(qwen3(1024, 28, 3072, 16)),
    "internvl3.5-2b": internvl(qwen3(2048, 28, 6144, 16)),
    "internvl3.5-4b": internvl(qwen3(2560, 36, 9728, 32)),
    "internvl3.5-8b": internvl(qwen3(4096, 36, 12288, 32)),
    "smolvlm2-256m": smolvlm(
        (stock.LlamaConfig, 576, 30, 1536, 9, 3, 49280), {**SMOL, "image_size": 512, "patch_size": 16}, 4
    ),
    "smolvlm2-500m": smolvlm(
        (stock.LlamaConfig, 960, 32, 2560, 15, 5, 49280), {**SMOL, "image_size": 512, "patch_size": 16}, 4
    ),
    "smolvlm2-2.2b": smolvlm(
        (stock.LlamaConfig, 2048, 24, 8192, 32, 32, 49280),
        {"hidden_size": 1152, "num_hidden_layers": 27, "num_attention_heads": 16, "intermediate_size": 4304,
         "image_size": 384, "patch_size": 14}, 3,
    ),
    "gemma-3-4b": gemma3(2560, 34, 10240, 8, 4, 262208),
    "gemma-3-12b": gemma3(3840, 48, 15360, 16, 8, 262208),
    "qwen2.5-vl-3b": qwen(stock.Qwen2_5_VLConfig, 2048, 36, 11008, 16, 2, 151936, hidden_size=1280, tied=True),
    "qwen2.5-vl-7b": qwen(stock.Qwen2_5_VLConfig, 3584, 28, 18944, 28, 4, 152064, hidden_size=1280),
    "qwen3-vl-2b": qwen(
        stock.Qwen3VLConfig, 2048, 28, 6144, 16, 8, 151936, hidden_size=1024, intermediate_size=4096, depth=24,
        deepstack_visual_indexes=[5, 11, 17], tied=True,
    ),
    "qwen3-vl-4b": qwen(
        stock.Qwen3VLConfig, 2560, 36, 9728, 32, 8, 151936, hidden_size=1024, intermediate_size=4096, depth=24,
        deepstack_visual_indexes=[5, 11, 17], tied=True,
    ),
    "qwen3-vl-8b": qwen(stock.Qwen3VLConfig, 4096, 36, 12288, 32, 8, 151936),
    "qwen3-vl-30b-a3b": qwen3_moe,
}  # fmt: skip
SHAPES |= {f"llava-v1.6-{size}": SHAPES[f"llava-next-{size}"] for size in ("vicuna-7b", "mistral-7b", "34b")}
SHAPES |= {
    f"llava-onevision-{size}-original": SHAPES[f"llava-onevision-{size}"] for size in ("0.5b", "7b")
}  # in the layout of their authors


class Peak(TorchDispatchMode):
    """Counts the bytes of the tensors that are alive at once, those on the meta device among them."""

    def __init__(self):
        super().__init__()
        self.now = self.most = 0
        self._known = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten._local_scalar_dense.default and args[0].is_meta:
            return True  # whether a mask is all ones: that of whole frames is
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in self._known:
                    self._known.add(storage._cdata)
                    self.now += storage.nbytes()
                    weakref.finalize(storage, self._free, storage._cdata, storage.nbytes())
        self.most = max(self.most, self.now)
        return result

    def _free(self, key, size):
        self._known.discard(key)
        self.now -= size


class Fused(TorchFunctionMode):
    """Attention as the kernels for GPUs do it, which hold no scores; on the meta device torch would write them out."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is torch.nn.functional.scaled_dot_product_attention:
            query, _, value = args[:3]
            return query.new_empty(*query.shape[:-1], value.shape[-1])
        return function(*args, **(kwargs or {}))


def build(config, device, dtype=torch.bfloat16):
    with torch.device(device):
        return FAMILIES[config.model_type].stock_class._from_config(config, dtype=dtype).eval()


def weights(model, bits):
    """Count the bytes of all weights, with the language model's linear layers in the given bits."""
    total = sum(weight.numel() for weight in model.parameters()) * 2
    if bits == 16:
        return total
    for name, part in model.model.named_children():
        for layer in part.modules() if name in LANGUAGE_PARTS else ():
            if isinstance(layer, torch.nn.Linear):
                scales = layer.out_features if bits == 8 else layer.weight.numel() / BLOCK
                total += layer.weight.numel() * (bits / 8 - 2) + 4 * scales
    return total


def cache(config, tokens):
    """Count the bytes of keys and values of tokens in bfloat16; layers with a window hold at most their window."""
    language = config.get_text_config()
    head = getattr(language, "head_dim", None) or language.hidden_size // language.num_attention_heads
    kinds = getattr(language, "layer_types", None) or ["full_attention"] * language.num_hidden_layers
    window = getattr(language, "sliding_window", None) or tokens
    held = sum(min(tokens, window) if kind == "sliding_attention" else tokens for kind in kinds)
    return 2 * held * language.num_key_value_heads * head * 2


def adapter_of(name, model):
    """Return the adapter, with the bundled model's tokenizer: only the number of tokens matters here."""
    family = FAMILIES[model.config.model_type].adapter_class
    return family(name, model, build_tokenizer(), normalization=Normalization(), chat="vicuna")


def tower(adapter, chunk):
    """Return the peak bytes while a chunk of frames passes tower and projector; None for Qwen's.

    How Qwen's tower cuts its input into windows follows from the values of a grid, which the meta device has not.
    """
    if not isinstance(adapter, FrameTower):
        return None
    vision = adapter.model.config.vision_config
    height, width = (vision.image_size,) * 2 if isinstance(vision.image_size, int) else vision.image_size
    pixels = torch.empty(chunk, 3, height, width, dtype=torch.bfloat16, device="meta")
    with torch.inference_mode(False), torch.no_grad(), Fused(), Peak() as peak:
        states = adapter.tower_states(pixels)
        adapter.project(states[:, 1:] if adapter.has_cls else states)
    return peak.most + pixels.nbytes


def table(names, tokens, chunk):
    print(f"GB; keys and values of {tokens} tokens, the tower with {chunk} frames at a time")
    titles = {"download": 9, "bf16": 8, "8 bit": 8, "4 bit": 8, "keys+values": 13, "tower": 8, "bf16 in all": 13}
    print(f"{'model':24}" + "".join(f"{title:>{width}}" for title, width in titles.items()))
    for name in names:
        config = SHAPES[name]()
        model = build(config, "meta")
        whole, held = weights(model, 16), cache(config, tokens)
        seen = tower(adapter_of(name, model), chunk)
        size = CATALOG[name].size if name in CATALOG else None
        sizes = [whole, weights(model, 8), weights(model, 4), held, seen, whole + held + (seen or 0)]
        cells = [size or None, *(None if value is None else value / GB for value in sizes)]
        shown = ["-" if value is None else f"{value:.2f}" for value in cells]
        print(f"{name:24}" + "".join(f"{c:>{width}}" for c, width in zip(shown, titles.values(), strict=True)))


def measure(name, device, frames, tokens):
    """Measure a model of true size with random weights on random frames: seconds per stage and peak memory."""
    torch.manual_seed(0)
    cuda = torch.device(device).type == "cuda"
    model = build(SHAPES[name](), device)
    adapter = adapter_of(name, model)
    size = adapter.image_size(720, 1280) if callable(adapter.image_size) else adapter.image_size
    data = np.random.default_rng(0).integers(0, 255, (frames, *size, 3), dtype=np.uint8)
    clip = dyto.Frames(data, np.arange(frames), np.arange(frames, dtype=float), source_size=(720, 1280))
    before, after = (torch.randint(10, 100, (count,), device=adapter.device) for count in (32, 64))
    config = stock.GenerationConfig(max_new_tokens=32, min_new_tokens=32, do_sample=False, pad_token_id=0)
    print(f"{name} on {torch.cuda.get_device_name() if cuda else device}, {frames} frames of {size[0]}x{size[1]}")
    for round_ in ("first", "second"):
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        qa = dyto.VideoQA(adapter, dyto.DyTo(token_budget=tokens))
        video = qa.encode(clip)
        encoded = time.perf_counter()
        prefix = adapter.prefill(before, video)
        if cuda:
            torch.cuda.synchronize()
        read = time.perf_counter()
        adapter._generate([prefix], [after], config, None, None)
        if cuda:
            torch.cuda.synchronize()
        done = time.perf_counter()
        peak = f"{torch.cuda.max_memory_allocated() / GB:.1f} GB" if cuda else "not measured on a CPU"
        print(
            f"{round_:7} encode and merge {encoded - start:.2f} s, prefill of {len(video)} tokens "
            f"{read - encoded:.2f} s, 32 new tokens {done - read:.2f} s, peak memory {peak}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help="names of `dyto list models`; all of them by default"
    )
    parser.add_argument("--tokens", type=int, default=3680)
    parser.add_argument("--chunk", type=int, default=16)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--frames", type=int, default=100)
    options = parser.parse_args()
    names = options.models or [
        name for name in SHAPES if not name.startswith("llava-v1.6") and not name.endswith("-original")
    ]
    for name in names:
        if name not in SHAPES:
            parser.error(f"no shape of {name!r} is known here, expected one of {', '.join(SHAPES)}")
    if not options.measure:
        table(names, options.tokens, options.chunk)
        if not options.models and (left := sorted(CATALOG.keys() - SHAPES.keys())):
            print(f"of no shape known here: {', '.join(left)}")
        return
    if torch.device(options.device).type == "cuda" and not torch.cuda.is_available():
        parser.error(
            "there is no CUDA device to measure on: leave --measure out, or give --device cpu for the seconds alone"
        )
    for name in options.models or parser.error("name the models to measure"):
        measure(name, options.device, options.frames, options.tokens)


if __name__ == "__main__":
    main()
