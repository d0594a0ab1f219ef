"""Every number of README's table of speeds is that of a committed record."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def record(name):
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}-cpu.json").read_text())


def median(found, *path):
    for step in path:
        found = found[step]
    return found["median"]


def named(entries, key, value):
    (found,) = (entry for entry in entries if entry[key] == value)
    return found


def numbers(text):
    """Numbers of cells, as they are printed."""
    return re.findall(r"\d+(?:\.\d+)?", text)


def expected():
    population = named(record("population")["tasks"], "task", "flip_flop")
    widths = {width["hidden"]: width["ratios"] for width in record("sweep_throughput")["widths"]}
    metrics = record("metrics")
    over = {target["claim"]: target["measured"] for target in reversed(metrics["targets"])}
    whole = {
        entry["contest"]: entry["seconds_with_compilation"]
        for entry in metrics["populations"]
        if entry["networks"] == 50
    }
    latent = named(record("latent_scaling")["sizes"], "hidden", 1_000_000)
    ours, theirs = (
        median(population, way, "seconds_per_population_epoch")
        for way in ("ours", "torch_processes")
    )
    loops, fused = (
        [median(widths[n], f"{name}") for n in (64, 256)]
        for name in ("leaky_over_torch_loop", "vanilla_over_torch_fused")
    )
    return {
        "an epoch of 50 networks": [ours, theirs / ours],
        "training steps": [*loops, *fused],
        "1,225 distances by DSA": [whole["dsa_r19"], over["dsa_metric_over_ours"]],
        "1,225 distances of weights": [whole["pif"], over["scipy_faq_over_ours"]],
        "an epoch of a latent network": [
            median(latent, way, "ms_per_epoch") / 1000 for way in ("latent", "torch")
        ],
    }


def test_speeds_are_those_of_the_records():
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## Speed\n")[2]
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")][1:]
    found = expected()
    assert len(rows) == len(found)
    for name, *cells in rows:
        (values,) = (v for start, v in found.items() if name.strip().startswith(start))
        printed = numbers(" ".join(cells))
        assert len(printed) == len(values), name
        for shown, value in zip(printed, values, strict=True):
            decimals = len(shown.partition(".")[2])
            assert f"{value:.{decimals}f}" == shown, name
