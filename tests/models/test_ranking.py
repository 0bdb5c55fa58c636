"""Models ranked for a machine, `--model auto`, and the files that hold a choice."""

import pytest

import dyto
from dyto.cli.app import main
from dyto.errors import ConfigError
from dyto.models import ranking as ranks
from dyto.models.catalog import CATALOG
from dyto.models.facts import FACTS
from dyto.models.loading.chosen import FILE, chosen_model, settings_folder
from dyto.models.loading.load import load_model
from dyto.models.loading.naming import usual_model
from dyto.models.loading.options import Loading
from dyto.models.ranking import ROOM, ThisMachine, best_model, on_disk, ranking


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of downloads; `cache(name)` puts a model there."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)

    def put(name):
        folder = tmp_path / f"models--{CATALOG[name].source.replace('/', '--')}" / "snapshots" / "abc"
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"")

    return put


@pytest.mark.parametrize(
    "machine", [ThisMachine("cpu", 8), ThisMachine("cpu", None), ThisMachine("cuda", 24), ThisMachine("cuda", 140)]
)
def test_every_model_is_ranked_once_and_what_does_not_fit_is_last(cache, machine):
    places = ranking(machine)
    assert sorted(place.name for place in places) == sorted(CATALOG)
    usable = [place.usable for place in places]
    assert usable == sorted(usable, reverse=True)
    for place in places:
        assert place.reason
        if place.name in FACTS and CATALOG[place.name].source and machine.memory and not place.usable:
            assert FACTS[place.name].memory(32) > ROOM * machine.memory


def test_larger_models_come_first_on_a_card_and_quick_ones_on_a_cpu(cache):
    on_card = [place.name for place in ranking(ThisMachine("cuda", 24)) if "fits" in place.reason]
    assert FACTS[on_card[0]].weights == pytest.approx(max(FACTS[name].weights for name in on_card), abs=1)
    on_cpu = [place for place in ranking(ThisMachine("cpu", 16)) if "fits" in place.reason]
    slow = ["slow" in place.reason for place in on_cpu]
    assert slow == sorted(slow)
    assert on_cpu[0].name == "internvl3.5-1b"


def test_a_model_on_the_disk_comes_before_a_download(cache):
    cache("smolvlm2-256m")
    assert on_disk(CATALOG["smolvlm2-256m"].source)
    for machine in (ThisMachine("cpu", 8), ThisMachine("cuda", 80)):
        assert best_model(machine).name == "smolvlm2-256m"
        assert "on the disk" in best_model(machine).reason


def test_a_disk_with_nothing_and_no_network_leaves_the_bundled_ones(cache, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for sees, name in ((True, "nouns"), (False, "tiny")):
        monkeypatch.setattr(ranks, "can_see", lambda sees=sees: sees)
        assert best_model(ThisMachine("cpu", 8)).name == name


def test_a_model_that_asks_for_consent_is_not_chosen(cache):
    assert not [gb for gb in range(4, 200, 4) if "gemma-3" in best_model(ThisMachine("cuda", gb)).name]


def test_auto_loads_the_best_and_says_why(cache, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(ranks, "can_see", lambda: False)
    model = load_model("auto", device="cpu")
    assert model.name == "tiny"
    assert "auto chose tiny" in model.notices[-1]


def test_the_list_is_in_the_order_of_the_ranking(cache, capfd):
    assert main(["list", "models"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [place.name for place in ranking()]
    assert "on this machine" in lines[0]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A current folder without a choice, and no variable."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DYTO_MODEL", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "own"))
    monkeypatch.setenv("APPDATA", str(tmp_path / "own"))
    return tmp_path


def test_the_order_of_choices(folder, monkeypatch):
    assert chosen_model() is None
    own = settings_folder()
    own.mkdir(parents=True)
    (own / FILE).write_text('model = "smolvlm2-256m"\n')
    assert chosen_model().model == "smolvlm2-256m"
    (folder / FILE).write_text('model = "tiny"\neye = "pixels"\n')
    assert (chosen_model().model, chosen_model().options) == ("tiny", {"eye": "pixels"})
    assert usual_model(None) == "tiny"
    assert load_model(device="cpu").name == "tiny"
    assert Loading.of_flags(model=None, device="cpu") == Loading("tiny", device="cpu", eye="pixels")
    assert Loading.of_flags(model="nouns") == Loading("nouns"), "a file's options belong to its own model"
    monkeypatch.setenv("DYTO_MODEL", "nouns")
    assert chosen_model().source == "DYTO_MODEL"
    assert usual_model("qwen3-vl-2b") == "qwen3-vl-2b"


def test_a_command_takes_the_choice_of_a_file(folder, clip, capfd):
    (folder / FILE).write_text('model = "tiny"\neye = "pixels"\n')
    assert main(["ask", str(clip), "what ?", "--max-new-tokens", "2"]) == 0
    assert "model       tiny on cpu" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('modle = "tiny"', r"unknown key of .*dyto.toml 'modle': did you mean 'model'"),
        ("model = 3", "says model = 3, expected a text"),
        ('model = "tiny"\nmax_requests = "9"', "says max_requests = '9', expected a whole number"),
        ('model = "tiny"\nmax_requests = true', "expected a whole number"),
        ('eye = "pixels"', "names no model"),
        ("model = ", "cannot be read"),
        (
            'model = "endpoint:m"\nbase_url = "https://evil.example/v1"',
            "sends videos to evil.example, expected this machine",
        ),
    ],
)
def test_a_wrong_file_is_an_error_that_names_the_nearest(folder, text, said):
    (folder / FILE).write_text(text)
    with pytest.raises(ConfigError, match=said):
        dyto.load_model()


def test_another_machine_may_be_named_in_ones_own_file_only(folder):
    text = 'model = "endpoint:m"\nbase_url = "{}"\n'
    own = settings_folder()
    own.mkdir(parents=True)
    (own / FILE).write_text(text.format("https://models.example/v1"))
    assert chosen_model().options == {"base_url": "https://models.example/v1"}
    (folder / FILE).write_text(text.format("http://127.0.0.1:8000/v1"))
    assert chosen_model().options == {"base_url": "http://127.0.0.1:8000/v1"}
