"""The studies of width rules and latent training as users run them."""

from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest

import rnnjax
from commands import call, refused, reports_again, settings, study
from rnnjax.cells import STRUCTURES
from rnnjax.parametrization import MuPAdam, Standard
from rnnjax.report import Provenance
from rnnjax.store import load_results, read_checked
from rnnjax.studies.workdir import read_index

NAMES = ("width_transfer", "rescaling", "latent")
SIZES = {
    "width_transfer": {
        "smoke": 2 * 2 * 3 * 2, "laptop": 5 * 5 * 21 * 6, "paper": 5 * 6 * 13 * 10,
        "recurrences": 10 * 4 * 21 * 4, "structures": 7 * 4 * 21 * 4,
    },
    "rescaling": {"smoke": 2 * 2 * 3 * 2, "laptop": 2 * 5 * 3 * 3, "paper": 60, "arms": 2 * 2 * 60},
    "latent": {"smoke": 2 * 2 * 2, "laptop": 5 * 2 * 3, "paper": 60, "million": 2},
}  # fmt: skip
CASES = [(name, preset) for name, presets in SIZES.items() for preset in presets]


@pytest.mark.parametrize(("name", "preset"), CASES)
def test_every_preset_describes_a_sweep(name, preset):
    assert study(name).build_sweep(settings(name, preset)).size == SIZES[name][preset]


def test_every_recurrence_has_both_rules_and_structures_the_standard_one():
    config = settings("width_transfer", "laptop")
    with config.unlocked():
        config.rules = study("width_transfer").RULES
        config.alpha = 0.3
    cells = study("width_transfer").rule_cells(config)
    for name in ("gru", "lstm", "mgu", "lru", "attention"):
        assert cells[name].parametrization == Standard("xavier")
        assert cells[f"{name}_mup"] == cells[name].replace(parametrization=MuPAdam("scaled"))
    for name in STRUCTURES:
        assert cells[name].structure.name == name
        assert cells[name].cell == cells["standard"]
        assert cells[name].cell.alpha == 0.3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("width_transfer", {"transfer_curves", "rates_against_width", "coordinate_check"}),
        ("rescaling", {"rescaling_curves", "slowdown"}),
        ("latent", {"latent_curves", "latent_accuracy", "latent_cost"}),
    ],
)
def test_smoke_trains_reports_and_resumes(name, figures, tmp_path):
    workdir = tmp_path / "run"
    assert call(name, "--config=smoke", f"--workdir={workdir}") == 0
    assert read_index(workdir)["study"] == name
    results = load_results(workdir / "store")
    done = results["status"] == rnnjax.Status.EXHAUSTED
    left = 2 * 2 if name == "width_transfer" else 0  # the rate at which one rule is not tried
    assert int((~done).sum()) == left
    assert {file.stem for file in (workdir / "figures").glob("*.png")} == figures
    page = (workdir / "report.md").read_text()
    assert f"rnnjax run {name} --config=smoke" in page  # every report names its command
    assert " nan" not in page.lower()
    markers = {f: f.read_text() for f in (workdir / "store" / "blocks").glob("*.json")}
    assert call(name, "--config=smoke", f"--workdir={workdir}") == 0
    assert {f: f.read_text() for f in (workdir / "store" / "blocks").glob("*.json")} == markers
    assert reports_again(workdir)
    if name == "latent":
        (entry,) = read_checked(workdir / "cost.json").values()
        assert entry["of"]["setup"]["cell"]["hidden"] == 200
        saved = entry["value"]
        assert len(saved["seconds"]) == 2
        assert min(saved["seconds"]) > 0
        assert 1e8 < saved["peak_bytes"] < 2e9


@pytest.mark.parametrize(
    ("name", "flags", "words"),
    [
        ("width_transfer", ["--config.rules=standard,mupp"], ["rules", "did you mean 'mup'"]),
        ("width_transfer", ["--config.optimizer=adm"], ["optimizer", "did you mean 'adam'"]),
        ("width_transfer", ["--config.eps_scaling=torsh"], ["eps_scaling", "'torch'"]),
        ("width_transfer", ["--config.optimizer=sgd", "--config.eps=1e-4"], ["eps", "0.0001"]),
        (
            "width_transfer",
            ["--config.optimizer=sgd", "--config.eps_scaling=torch"],
            ["eps_scaling", "expected scaled"],
        ),
        ("width_transfer", ["--config.task=delayed"], ["task", "delayed_cue"]),
        ("width_transfer", ["--config.highest.mup=1e-6"], ["rules", "highest.mup", "got none"]),
        ("width_transfer", ["--config.hidden=1024", "--config.rules=gru"], ["widest.gru"]),
        ("width_transfer", ["--config.coordinates.widths=256"], ["coordinates.widths", "two"]),
        ("width_transfer", ["--config.rank=40"], ["rank", "at most"]),
        ("width_transfer", ["--config.coordinates.learning_rate=0"], ["learning_rate", "above 0"]),
        ("rescaling", ["--config.inits=xavier"], ["init", "gaussian"]),
        ("rescaling", ["--config.eps_scalings=scaled"], ["eps_scalings", "torch", "scaled"]),
        ("rescaling", ["--config.flip_flop.bits=0"], ["bits", "at least 1"]),
        ("latent", ["--config.rank=0"], ["rank", "at least 1"]),
        ("latent", ["--config.rank=5", "--config.hidden=4"], ["rank", "at most"]),
        ("latent", ["--config.readout=kappa"], ["readout", "rates"]),
        (
            "latent",
            ["--config.readout=latent", "--config.flip_flop.bits=3"],
            ["rank", "at least 3"],
        ),
        ("latent", ["--config.rank=20", "--config.cost_hidden=10"], ["rank", "at most"]),
        ("latent", ["--config.cost_hidden=0,10"], ["cost_hidden", "at least 1"]),
        ("latent", ["--config.cost_hidden=()"], ["cost_hidden", "at least one"]),
        ("latent", ["--config.cost_repeats=0"], ["cost_repeats", "at least 1"]),
        ("latent", ["--config.cost_hidden=10,2000000000"], ["cost_hidden", "fit into memory"]),
    ],
)
def test_bad_input_is_one_line_and_touches_nothing(name, flags, words, tmp_path, capsys):
    error = refused(name, flags, tmp_path / "new", capsys)
    for word in words:
        assert word in error


def test_a_timing_process_that_dies_is_an_error_of_its_setting(tmp_path, monkeypatch):
    module, config = study("latent"), settings("latent", "smoke")

    def dies(setup, **timing):
        raise BrokenProcessPool("terminated abruptly")

    monkeypatch.setattr(module, "epoch_cost", dies)
    setups = module._sized_setups(config, module.build_sweep(config))
    with pytest.raises(ValueError, match=r"^cost_hidden: .* got 200: terminated"):
        module.measure_costs(setups, config, tmp_path)


def test_folders_of_earlier_versions_keep_settings_without_effect(tmp_path, monkeypatch):
    module, config = study("width_transfer"), settings("width_transfer", "smoke")
    config.optimizer, config.eps = "sgd", 1e-4
    monkeypatch.setattr(module, "_validate_coordinates", lambda *_: None)
    monkeypatch.setattr(module, "train_and_report", lambda *_: "trained")
    with pytest.raises(ValueError, match="^eps:"):
        module.run(config, tmp_path)
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "manifest.json").touch()
    assert module.run(config, tmp_path) == "trained"


@pytest.mark.parametrize(
    ("name", "page", "replaced"),
    [
        ("width_transfer", "transfer_page", {"check_coordinates": None}),
        ("latent", "latent_page", {}),
        ("sharpness", "sharpness_page", {"predictions": 0, "followed": None, "wanted_runs": None}),
    ],
)
def test_a_report_without_the_last_measurements_is_partial(
    name, page, replaced, tmp_path, monkeypatch
):
    module, seen = study(name), []
    for function, value in replaced.items():
        monkeypatch.setattr(module, function, lambda *_, value=value, **__: value)
    monkeypatch.setattr(module, page, lambda *_, pending, **__: seen.append(pending))
    monkeypatch.setattr(
        module, "report_sweep", lambda workdir, made, about, *_: made(None, about, False)
    )
    module.report(tmp_path, Provenance("python", settings(name, "smoke").to_dict()))
    assert seen == [True]


def test_dry_run_counts_only_the_rates_and_widths_that_a_rule_is_tried_at(tmp_path, capsys):
    new = f"--workdir={tmp_path / 'new'}"
    assert call("width_transfer", "--dry_run", "--config.rules=standard,gru", new) == 0
    printed = capsys.readouterr().out
    assert f"{5 * 13 * 6 + 4 * 13 * 6:,} networks x 300 steps" in printed
    assert "gru" in printed
    assert not (tmp_path / "new").exists()


def test_each_rule_is_tried_at_the_rates_and_widths_of_its_config():
    config = settings("width_transfer", "laptop")
    module = study("width_transfer")
    sweep = module.build_sweep(config)
    wanted = module.wanted_runs(sweep, config)
    rates = np.array(sweep.axis("learning_rate").values)
    for i, rule in enumerate(sweep.axis("cell").labels):
        tried = rates[wanted[i].any(axis=(0, 2))]
        assert config.lowest[rule] <= tried.min()
        assert tried.max() <= config.highest[rule]
        widths = np.array(config.hidden)[wanted[i].any(axis=(1, 2))]
        assert widths.max() == (256 if rule == "gru" else 512)
