"""A Whisper of the true architecture that knows two words, and voices that a detector of speech takes for speech."""

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GenerationConfig,
    PreTrainedTokenizerFast,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

RATE = 16_000
VOICES = {"low": 100, "high": 220}
"""What the model writes down, and the pitch in Hz of the voice that says it."""

VOWELS = [(700, 1200, 2600), (300, 2300, 3000), (400, 800, 2600), (500, 1800, 2500)]
"""Formants in Hz."""


def voice(pitch, seconds=4.0):
    """Syllables of 0.18 s: pulses of the glottis through the resonances of vowels."""
    times = np.arange(int(seconds * RATE)) / RATE
    phase = np.cumsum(pitch * (1 + 0.03 * np.sin(2 * np.pi * 3 * times))) / RATE
    pulses = np.diff(np.floor(phase), prepend=0).clip(0, 1)
    length = int(0.18 * RATE)
    return np.concatenate(
        [
            syllable(pulses[start : start + length], VOWELS[n % 4])
            for n, start in enumerate(range(0, len(times), length))
        ]
    ).astype(np.float32)


def syllable(pulses, formants):
    ring = np.exp(-np.pi * 80 * np.arange(512) / RATE)  # resonances 80 Hz wide, as long as they are heard
    for hertz in formants:
        pulses = np.convolve(pulses, ring * np.sin(2 * np.pi * hertz * np.arange(1, 513) / RATE))[: len(pulses)]
    return 0.5 * pulses / (np.abs(pulses).max() + 1e-9) * np.hanning(len(pulses))


def spelling():
    """A tokenizer of single letters with the marks of an English Whisper."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    marks = ("endoftext", "startoftranscript", "translate", "transcribe", "startoflm", "startofprev", "nospeech",
             "notimestamps")  # fmt: skip
    made.add_special_tokens([f"<|{mark}|>" for mark in marks])
    return made


def make_whisper(folder):
    """Train small weights for the voices, and save them in the Hugging Face layout."""
    words, ears = spelling(), WhisperFeatureExtractor(feature_size=80)
    end, begin = (words.token_to_id(f"<|{mark}|>") for mark in ("endoftext", "startoftranscript"))
    zero = words.token_to_id("<|notimestamps|>") + 1  # the second 0.00; the others follow by 0.02
    marks = {"bos_token_id": end, "eos_token_id": end, "pad_token_id": end, "decoder_start_token_id": begin}
    none = {"suppress_tokens": [], "begin_suppress_tokens": []}
    sizes = {f"{side}_{what}": n for side in ("encoder", "decoder") for what, n in SIZES.items()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = WhisperForConditionalGeneration(
            WhisperConfig(vocab_size=zero + 1501, d_model=32, num_mel_bins=80, dropout=0.0, **sizes, **marks, **none)
        )
        heard = [
            ears(voice(pitch), sampling_rate=RATE, return_tensors="pt").input_features for pitch in VOICES.values()
        ]
        said = [[begin, zero, *words.encode(word).ids, zero + 200, zero + 200, end] for word in VOICES]
        longest = max(map(len, said))
        learn(model, torch.cat(heard), torch.tensor([ids + [end] * (longest - len(ids)) for ids in said]))
    model.generation_config = GenerationConfig(**marks, **none)
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<|endoftext|>").save_pretrained(folder)
    ears.save_pretrained(folder)
    return folder


SIZES = {"layers": 1, "attention_heads": 2, "ffn_dim": 64}


def learn(model, heard, said):
    steps = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(300):
        logits = model(input_features=heard, decoder_input_ids=said[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), said[:, 1:].flatten())
        steps.zero_grad()
        loss.backward()
        steps.step()
        if loss.item() < 0.02:
            return
    raise AssertionError(f"it does not learn two words: the loss is {loss.item():.3f}")
