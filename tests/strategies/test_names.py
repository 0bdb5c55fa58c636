"""How strategies are written: names, published names, options after a colon."""

import pytest

import dyto
from dyto import ConfigError, build_strategy
from dyto.cli.listing import table
from dyto.strategies import STRATEGIES
from dyto.strategies.published import aggregation_strategy

PUBLISHED = {
    "spatial_tome_finch_dynamic_all_frms": build_strategy("dyto"),
    "slowfast-slow_10frms_spatial_1d_max_pool-fast_4x4": build_strategy("slowfast", fast_grid=(4, 4)),
    "slowfast-slow_5frms_spatial_2d_avg_pool-fast_2x3": build_strategy(
        "slowfast", slow_frames=5, slow_pool="spatial_2d_avg_pool", fast_grid=(2, 3)
    ),
}


@pytest.mark.parametrize("text", [*STRATEGIES, *PUBLISHED, "uniform-pool:pool=3,num_frames=57", " DyTo ", "EVS"])
def test_a_command_and_a_config_take_the_same_names(text):
    name, fields = aggregation_strategy(text)
    assert build_strategy(name, **fields) == build_strategy(text)
    assert build_strategy(text) == PUBLISHED.get(text, build_strategy(text))


@pytest.mark.parametrize("value", [False, None, "none", "False", "concat"])
def test_no_aggregation_keeps_everything(value):
    assert aggregation_strategy(value) == ("concat", {})


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("uniform-pool:pool=3", "pool", 3),
        ("dyto:temporal=false", "temporal", False),
        ("dyto: order = raster , reduce = mean", "order", "raster"),
        ("slowfast:fast_grid=2x3", "fast_grid", (2, 3)),
        ("peaks:threshold=0.8", "threshold", 0.8),
        ("uniform-pool:pool=null", "pool", None),
        ("slowfast-slow_10frms_spatial_1d_max_pool-fast_4x4:fast_frames=9", "fast_frames", 9),
    ],
)
def test_options_follow_a_colon(text, field, value):
    assert getattr(build_strategy(text, token_budget=500), field) == value
    assert build_strategy(text, token_budget=500).token_budget == 500


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("uniform-poll", "did you mean 'uniform-pool'"),
        ("uniform-pool:", "has option '', expected name:key=value"),
        ("uniform-pool:pool", "has option 'pool', expected name:key=value"),
        ("uniform-pool:pool=", "has option 'pool=', expected name:key=value"),
        ("uniform-pool:pol=3", "did you mean 'pool'"),
        ("uniform-pool:pool=3,pool=4", "sets 'pool' twice"),
        ("uniform-pool:pool=3,token_budget=3", "token_budget of strategy 'uniform-pool' is given twice"),
        ("uniform-pool:pool=2.5", "pool of strategy 'uniform-pool' is 2.5, expected a whole number"),
        ("uniform-pool:pool=1e400", "pool of strategy 'uniform-pool' is inf"),
        ("uniform-pool:pool=NaN", "pool of strategy 'uniform-pool' is nan"),
        ("peaks:threshold=NaN", "threshold of strategy 'peaks' is nan"),
        ("dyto:temporal=maybe", "temporal of strategy 'dyto' is 'maybe', expected true or false"),
        ("dyto:order=5", "unknown order"),
        ("", "unknown strategy ''"),
        ("slowfast-slow_10frms", "did you mean 'slowfast'"),
        ("concat:pool=2", "has no options"),
    ],
)
def test_what_cannot_be_meant_is_an_error(text, message):
    with pytest.raises(ConfigError, match=message):
        build_strategy(text, token_budget=None if text.startswith("concat") else 7)


def test_the_list_says_what_each_needs():
    columns, rows = table("strategies")
    needs = {row[0]: row[columns.index("needs")] for row in rows}
    assert needs["dyto"] == needs["uniform"] == "-"
    assert needs["visionzip"] == "attention"
    assert needs["query"] == "question, words"


def test_a_name_of_before_is_taken_with_a_warning(caplog):
    assert build_strategy("fastvid:threshold=0.8").threshold == 0.8
    assert "is called 'peaks' now" in caplog.text
    with pytest.warns(DeprecationWarning, match="dyto.FastVID was renamed: use dyto.Peaks"):
        assert dyto.FastVID is dyto.Peaks
