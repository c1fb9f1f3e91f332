"""Settings against the baseline: read from finished artifacts, no training."""

import json
from pathlib import Path

import pytest

from pipeline.run.artifact import MANIFEST
from pipeline.run.errors import InputError
from stages.ablate import AblationConfig, ablate

SEEDS = (1, 2, 3, 4, 5)


def made(folder: Path, scores, config: dict, init: str = "a", lost: float = 0) -> Path:
    """A fine-tuning as it lies on disk, as far as it is read."""
    folder.mkdir()
    seeds = [
        {"seed": seed, "dev": score + 1, "measured": {"f1": score}, "degenerate": score == 0,
         "elsewhere": {"away": {"f1": score - lost}} if lost else {}}
        for seed, score in zip(SEEDS, scores, strict=True)
    ]  # fmt: skip
    (folder / "evidence.json").write_text(
        json.dumps({"kind": "spelling", "names": [], "metric": "f1", "seeds": seeds})
    )
    manifest = {"config": config, "inputs": {"init": init, "task": "t"}, "provenance": {"seconds": 61}}
    (folder / MANIFEST).write_text(json.dumps({"digest": "", "files": {}, **manifest}))
    return folder


@pytest.fixture
def baseline(tmp_path) -> Path:
    return made(tmp_path / "finetuned-base", (70, 72, 71, 73, 69), {"head": {"pooling": "cls"}, "epochs": 3})


def written(tmp_path, baseline, *others) -> tuple[dict[str, float], str]:
    out = tmp_path / "ablation-base"
    out.mkdir()
    return ablate(AblationConfig(), baseline, list(others), out), (out / "ablation.md").read_text()


def test_what_changed_is_read_off_the_manifests_and_the_best_comes_first(tmp_path, baseline):
    worse = made(tmp_path / "b", (60, 61, 0, 62, 60), {"head": {"pooling": "cls"}, "epochs": 9})
    better = made(tmp_path / "c", (80, 82.1, 81, 83, 79.2), {"head": {"pooling": "mean"}, "epochs": 5})
    metrics, text = written(tmp_path, baseline, worse, better)
    assert [*metrics] == ["epochs = 5, head.pooling = mean", "epochs = 9"]
    assert metrics["epochs = 9"] == pytest.approx(-22.4)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")][
        2:
    ]
    assert [row[0] for row in rows] == ["baseline", *metrics]
    assert rows[0][1:4] == ["72.0 ± 1.6", "71.0 ± 1.6", ""] and rows[2][7] == "1"  # a failed seed counts
    assert "epochs = 5, head.pooling = mean: better" in text and "worse" not in text.split("##")[0].split("|")[0]


def test_what_one_of_many_would_show_alone_is_not_beyond_noise(tmp_path, baseline):
    """p = 0.016 alone, six times that among six."""
    folders = [
        made(
            tmp_path / f"other-{i}",
            (71.2, 73, 71.3, 75, 70) if i == 0 else (70, 72, 71, 73, 69.0 + i / 10),
            {"epochs": i},
        )
        for i in range(6)
    ]
    _, text = written(tmp_path, baseline, *folders)
    assert "No setting is different from the baseline beyond noise." in text


def test_another_checkpoint_cannot_be_compared(tmp_path, baseline):
    stranger = made(tmp_path / "b", (70, 72, 71, 73, 69), {"epochs": 3}, init="b")
    with pytest.raises(InputError, match="another checkpoint or task"):
        written(tmp_path, baseline, stranger)


def test_what_is_lost_on_rows_of_another_source_stands_beside_each_setting(tmp_path):
    """Two settings, two sources: the four numbers of the generalisation experiment."""
    baseline = made(tmp_path / "finetuned-base", (70, 72, 71, 73, 69), {"frozen": False}, lost=20)
    frozen = made(tmp_path / "b", (60, 61, 59, 62, 60), {"frozen": True}, lost=5)
    _, text = written(tmp_path, baseline, frozen)
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert "| on away" in lines[0] and "| lost" in lines[0]
    assert "| 51.0 ± 1.6 | 20.0 ± 0.0 |" in lines[2] and "| 55.4 ± 1.1 | 5.0 ± 0.0 |" in lines[3]
