"""What pictures cost at endpoints, against examples from the makers' pages."""

import pytest

from dyto.errors import ConfigError
from dyto.models.endpoint.counting import RULES, UNKNOWN, rule_for


@pytest.mark.parametrize(
    ("name", "size", "tokens"),
    [
        ("gpt-4o", (1024, 1024), 765),
        ("gpt-4o", (4096, 2048), 1105),
        ("gpt-4o-2024-11-20", (512, 512), 255),
        ("gpt-4o-mini", (1024, 1024), 2833 + 4 * 5667),
        ("openai/gpt-4.1", (1024, 1024), 765),
        ("gpt-4.1-mini", (1024, 1024), 1659),
        ("gpt-4.1-mini", (1800, 2400), 2489),
        ("o1", (1024, 1024), 675),
        ("gpt-5", (1024, 1024), 630),
        ("gpt-5-mini", (1024, 1024), 1659),
        ("claude-3-5-sonnet-latest", (1092, 1092), 1590),
        ("anthropic/claude-opus-4", (200, 200), 54),
        ("gemini-2.0-flash", (384, 384), 258),
        ("google/gemini-2.5-pro", (540, 960), 1548),
        ("qwen2.5vl:7b", (448, 756), 16 * 27 + 2),
        ("Qwen/Qwen3-VL-8B-Instruct", (448, 768), 14 * 24 + 2),
        ("qwen2.5vl", (10, 10), 6),
        ("llava:7b", (480, 640), 576),
        ("gemma3:4b", (480, 640), 258),
        ("pixtral-12b", (512, 512), 32 * 32 + 32),
    ],
)
def test_the_makers_examples(name, size, tokens):
    assert rule_for(name).count(*size) == tokens


def test_an_unknown_name_is_counted_by_a_rule_that_says_so():
    assert rule_for("local-model") is UNKNOWN
    assert "no rule is known" in UNKNOWN.said


def test_a_given_number_replaces_every_rule():
    assert {rule_for(name, 77).count(*size) for name in ("gpt-4o", "x") for size in ((9, 9), (999, 999))} == {77}
    with pytest.raises(ConfigError, match="tokens_per_image is 0, expected at least 1"):
        rule_for("gpt-4o", 0)


@pytest.mark.parametrize("rule", [rule for rule in RULES if "gemini" not in rule.names], ids=lambda rule: rule.names)
def test_a_smaller_picture_costs_no_more(rule):
    costs = [rule.count(round(side * 9 / 16), side) for side in range(64, 2600, 4)]
    assert min(costs) >= 1
    assert costs == sorted(costs)


def test_every_rule_has_a_source_and_is_reached_by_some_name():
    assert all(rule.source and rule.said for rule in RULES)
