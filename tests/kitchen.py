"""A toy recipe on a few hundred sentences: a folder with data and runs, in which stages run as by command line."""

import json
import os
import runpy
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
from launcher import Begun, begun, launched

from corpora.parquet import read_rows
from pipeline.run import faults
from pipeline.run.artifact import read_manifest
from pipeline.run.recipe import build, load_recipe

ROOT = Path(__file__).parent.parent
LAUNCH = ["accelerate.commands.launch", "--num_processes", "2", "--mixed_precision", "no", "--config_file"]

WHEN = ["今天", "昨天", "中午", "晚上", "上次", "这次"]
WHAT = ["菜", "面", "汤", "鱼", "饭", "茶", "肉", "酒", "牛肉", "老板"]
HOW = {"好吃": "good", "美味": "good", "热情": "good", "难吃": "bad", "糟糕": "bad", "冷淡": "bad"}
END = ["。", "，下次再来。", "，大家都这样说。"]

CARD = """
name = "{name}"
language = "zh"
[fields]
text = "text"
{more}
[files]
"""

RECIPE = """
[corpus]
general = ["general.toml"]
domain = ["domain.toml"]
task = "task.toml"
shard_rows = 60
dev_share = 0.1

[base]
vocab_size = 120
hidden_size = 32
layers = 1
max_length = 24

[base.trainer]
steps = 60
batch_size = 32
learning_rate = 5e-3
evaluations = 1

[finetuned]
max_length = 24
seeds = [13, 43]

[finetuned.trainer]
epochs = 6          # a classifier that is sure of everything tells no word from another
batch_size = 16
learning_rate = 3e-3
evaluations = 1
warmup_ratio = 0.06
adam_betas = [0.9, 0.98]

[scores]
max_length = 24
buffer.min_gain = 0.2

[tagger.trainer]
epochs = 8
batch_size = 16
learning_rate = 5e-3
evaluations = 3
warmup_ratio = 0.06
adam_betas = [0.9, 0.98]

[masked]
max_length = 24
mask_rate = 0.4
selective_share = 0.5

[dapt.trainer]
steps = 60
batch_size = 16
learning_rate = 3e-3
evaluations = 3
save_steps = 5

[tapt.trainer]
steps = 5
batch_size = 16
"""


def write_corpus_files(data: Path) -> None:
    """About 1080 sentences of one pattern, each in one corpus only; what is written of a dish is its label."""
    texts = [(f"{when}吃的{what}真{how}{end}", how) for when, what, how, end in product(WHEN, WHAT, HOW, END)]
    order = np.random.default_rng(0).permutation(len(texts))
    parts = dict(
        zip(("train", "dev", "test", "domain", "general"), np.split(order, [100, 140, 200, 500]), strict=True)
    )
    for name, places in parts.items():
        rows = [{"text": texts[i][0], "label": HOW[texts[i][1]], "keywords": [texts[i][1]]} for i in places]
        lines = (json.dumps(row, ensure_ascii=False) for row in rows)
        (data / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    known = 'keywords = "keywords"'
    for name in ("domain", "general"):
        (data / f"{name}.toml").write_text(CARD.format(name=name, more=known) + f'unlabeled = "{name}.jsonl"')
    files = "\n".join(f'{split} = "{split}.jsonl"' for split in ("train", "dev", "test"))
    (data / "task.toml").write_text(CARD.format(name="task", more=f'label = "label"\n{known}') + files)


class Kitchen:
    """A folder with data, a recipe and runs; `make` runs a stage in this process as its command line would."""

    def __init__(self, folder: Path) -> None:
        self.data, self.runs, self.recipe = folder / "data", folder / "runs", folder / "toy.toml"
        self.data.mkdir()
        write_corpus_files(self.data)
        self.recipe.write_text(RECIPE)

    def __getitem__(self, artifact: str) -> Path:
        return self.runs / "toy" / artifact

    def config(self, kind: type, section: str, *settings: str) -> object:
        """A section of the recipe as the dataclass of its stage."""
        return build(kind, load_recipe(str(self.recipe), settings).get(section, {}), section, self.recipe.parent)

    def command(self, stage: str, out: str | Path, *more: str, **folders: Path) -> list[str]:
        named = [str(part) for name, path in folders.items() for part in (f"--{name}", path)]
        out = self[out] if isinstance(out, str) else out
        return [f"stages.{stage}", "--recipe", str(self.recipe), "--out", str(out), *named, *more]

    def make(self, stage: str, out: str | Path, *more: str, **folders: Path) -> int:
        """The exit code."""
        before, sys.argv = sys.argv, self.command(stage, out, *more, **folders)
        try:
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        except SystemExit as left:
            return left.code
        finally:
            sys.argv = before
        return 0

    def begun(self, stage: str, out: Path, *more: str, fault: str = "", **folders: Path) -> Begun:
        """The stage at work in a process of its own, with a fault to order."""

        def work() -> int:
            faults.ORDER = faults.read_order(fault)
            return self.make(stage, out, *more, **folders)

        [process] = begun(work, self.data.parent)
        return process

    def by_two(self, stage: str, out: Path, *more: str, **folders: Path) -> None:
        """The stage in two processes that share its work."""
        left = launched(lambda: self.make(stage, out, *more, **folders), self.data.parent)
        assert [one.code for one in left] == [0, 0] and "✓" in left[0].said, left
        assert read_manifest(out)["provenance"]["processes"] == 2

    def launch(self, file: str, stage: str, out: Path, *more: str, **folders: Path) -> subprocess.Popen:
        """The stage in two processes as a user starts them, by a file of stages/launch/."""
        command = [sys.executable, "-m", *LAUNCH, f"stages/launch/{file}", "-m"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        command += self.command(stage, out, *more, **folders)
        return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)

    def made_from(self, artifact: str) -> tuple[str, dict[str, Path]]:
        """The stage that makes an artifact, and its inputs."""
        arm, task = artifact.removeprefix("finetuned-"), self["corpus"] / "task"
        if arm != artifact:
            return "finetune", {"init": self[arm], "task": task}
        masked = {part: self["masked"] / part for part in ("domain", "task")}
        return {
            "corpus": ("prepare", {"data": self.data}),
            "base": ("start", {"general": self["corpus"] / "general"}),
            "scores": ("score", {"classifier": self["finetuned-base"], "task": task}),
            "tagger": ("train_tagger", {"init": self["base"], "scores": self["scores"]}),
            "masked": ("mask", {"init": self["base"], "corpus": self["corpus"], "tagger": self["tagger"]}),
            "dapt": ("pretrain", {"init": self["base"], "masked": masked["domain"]}),
            "dapt-tapt": ("pretrain", {"init": self["dapt"], "masked": masked["task"]}),
            "static": ("export", {"init": self["base"], "masked": self["masked"]}),
            "report": ("report", {"runs": self.runs / "toy"}),
        }[artifact]


ARTIFACTS = ["corpus", "base", "finetuned-base", "scores", "tagger", "masked", "dapt", "dapt-tapt", "finetuned-dapt",
             "finetuned-dapt-tapt", "static", "report"]  # fmt: skip


def metrics(kitchen: Kitchen, artifact: str) -> dict[str, float]:
    """What the stage that made it says of it."""
    return read_manifest(kitchen[artifact])["metrics"]


def rows(folder: Path) -> dict[str, dict]:
    """The rows of a corpus by their id."""
    found = list(read_rows(folder))
    assert len({row["id"] for row in found}) == len(found)
    return {row["id"]: row for row in found}
