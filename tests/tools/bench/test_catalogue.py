"""The catalogue of docs/models.md is what its script prints, and what it says of sizes is what the shapes hold."""

import sys
from pathlib import Path

import pytest
import torch

from dyto.models.facts import FACTS
from dyto.models.families import FAMILIES

ROOT = Path(__file__).resolve().parents[3]
SCRIPTS = ROOT / "tools" / "bench" / "scripts"
QUICK = ("smolvlm2-256m", "internvl3.5-1b", "qwen3-vl-30b-a3b")


@pytest.fixture(scope="module", autouse=True)
def scripts():
    sys.path.insert(0, str(SCRIPTS))
    yield
    sys.path.remove(str(SCRIPTS))


def test_the_page_says_what_the_script_prints():
    import catalogue

    page = (ROOT / "docs" / "models.md").read_text("utf-8")
    assert page.partition(catalogue.BEGIN)[2].partition(catalogue.END)[0].strip() == catalogue.text()


def shapes():
    sys.path.insert(0, str(SCRIPTS))
    from bench_memory import SHAPES

    sys.path.remove(str(SCRIPTS))
    return SHAPES


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.soak) for name in shapes() if name != "tiny"],
)
def test_weights_are_those_of_the_true_shape(name):
    config = shapes()[name]()
    with torch.device("meta"):
        model = FAMILIES[config.model_type].stock_class(config)
    count = sum(weight.numel() for weight in model.parameters()) / 1e9
    facts = FACTS[name]
    assert facts.weights == pytest.approx(count, rel=0.01)
    language = getattr(model.model, "language_model", None) or model.model.text_model
    words = language.get_input_embeddings().weight.numel()
    text = sum(weight.numel() for weight in language.parameters())
    rest = sum(weight.numel() for weight in model.model.parameters()) - text
    assert facts.vision == pytest.approx(rest / 1e9, rel=0.02)
    experts = getattr(config.get_text_config(), "num_experts", 0)
    if not experts:
        assert facts.text == pytest.approx((text - words) / 1e9, rel=0.02)
    else:
        chosen = config.get_text_config().num_experts_per_tok / experts
        inside = sum(weight.numel() for key, weight in language.named_parameters() if ".experts." in key)
        assert facts.text == pytest.approx((text - words - inside * (1 - chosen)) / 1e9, rel=0.05)
