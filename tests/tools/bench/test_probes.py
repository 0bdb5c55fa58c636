"""What a measurement sees of a model from outside."""

import numpy as np
import pytest

import dyto
from dyto_bench.probes import Probe


def test_a_probe_leaves_the_model_alone_after_an_error(tiny):
    with pytest.raises(RuntimeError), Probe(tiny).watching():
        raise RuntimeError
    assert "generate" not in vars(tiny.model)
    assert "_generate" not in vars(tiny)


@pytest.mark.parametrize("generation", [{}, {"min_new_tokens": 5}, {"renormalize_logits": True}])
def test_a_probe_sees_every_answer_once_however_it_is_written(tiny, generation):
    video = np.random.default_rng(0).integers(0, 255, (4, 48, 48, 3), dtype=np.uint8)
    qa = dyto.VideoQA(tiny)
    with Probe(tiny).watching() as probe:
        answer = qa.ask(video, "what is shown ?", max_new_tokens=5, generation=generation)
    (written,) = probe.written
    assert written.start <= written.first <= written.end
    assert answer.text == tiny.tokenizer.decode(written.ids[0], skip_special_tokens=True).strip()
    assert written.ids.shape[1] == 5 or "min_new_tokens" not in generation
