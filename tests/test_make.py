"""The Makefile as it is typed: what runs, in which order, and what does not run again.

In place of the stages stands a script that notes its call and leaves a manifest; the real ones are tested elsewhere.
"""

import json
import os
import re
import resource
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from launcher import launched

from pipeline.plan import Plan
from pipeline.scoring.scorers import SCORERS
from stages.check import check

ROOT = Path(__file__).parent.parent

PYTHON = """#!/bin/bash
out=$(sed 's/.*--out \\([^ ]*\\).*/\\1/' <<< "$*")
case "$*" in
  *stages.check*) {check}; exit ;;
  *stages.estimate*) echo "estimate" >> calls; exit ;;
  *stages.push*) echo "$*" >> commands; exit ;;
esac
stage=$(sed 's/.*-m stages\\.\\([a-z_]*\\) .*/\\1/' <<< "$*")
echo "$stage $out" >> calls
echo "$*" >> commands
mkdir -p "$out" && touch "$out/manifest.json"
[ ! -e slow ] || sleep 5
"""
CHECKED = """echo "$*" > asked; until [ -e answered ]; do sleep 0.01; done
    cat rank-0.txt >&2; code=$(cat answered); rm asked answered; exit "$code\""""
UNCHECKED = (
    "mkdir -p $out; touch "
    "$out/{corpus,base,finetuned,scores,tagger,chosen,masked,dapt,tapt,interpolated,filled,static,agreement,report}.json"
)

ALL = ["prepare corpus", "start base", "finetune finetuned-base", "score scores", "train_tagger tagger", "mask masked",
       "pretrain dapt", "finetune finetuned-dapt", "fill filled-dapt", "report report"]  # fmt: skip


class Project:
    """A copy of what make looks at, with a Python that only notes what it is asked for."""

    def __init__(self, folder: Path, check: bool) -> None:
        self.folder = folder
        for name in ("corpora", "pipeline", "stages"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("Makefile", "requirements.txt"):
            shutil.copy(ROOT / name, folder)
        python = folder / ".venv" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(PYTHON.replace("{check}", CHECKED if check else UNCHECKED))
        python.chmod(0o755)
        (folder / ".venv" / ".stamp").touch()
        for path in (folder / "requirements.txt", *folder.glob("*/**/*.toml")):
            os.utime(path, (0, 0))

    def make(self, *arguments: str) -> subprocess.CompletedProcess:
        ours = (
            "MAKE.*|MFLAGS|KEYMASK_CALL|RECIPES?|VARIANTS?|SET|BASE|DATA|INPUT|FROM|RUNS|INIT|ADAPTED|FACTORS|LAUNCH"
        )
        ours += "|REFERENCE|REPEATS|PYTHON|TRACK|PUSH|UPLOAD"
        environment = {name: value for name, value in os.environ.items() if not re.fullmatch(ours, name)}
        command = ["make", "TORCH_INDEX=", *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, cwd=self.folder, env=environment, **pipes) as making:
            while True:
                try:
                    said, told = making.communicate(timeout=0.02)
                    return subprocess.CompletedProcess(command, making.returncode, said, told)
                except subprocess.TimeoutExpired:
                    self.check_where_asked()

    def check_where_asked(self) -> None:
        """The real check, in a fork of this process: to import everything anew takes seconds."""
        asked, answered = self.folder / "asked", self.folder / "answered"
        words = asked.read_text() if asked.exists() else ""
        if not words.endswith("\n") or answered.exists():
            return

        def check() -> int:
            os.chdir(self.folder)
            sys.argv = words.split()[1:]
            try:
                runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
            except SystemExit as left:
                return left.code
            return 0

        [left] = launched(check, self.folder, world=1)
        (self.folder / "code").write_text(str(left.code))
        (self.folder / "code").rename(answered)

    def calls(self, *arguments: str) -> list[str]:
        """The stages a make runs, `<stage> <artifact>`."""
        (self.folder / "calls").unlink(missing_ok=True)
        done = self.make(*arguments)
        assert done.returncode == 0, done.stderr
        text = (self.folder / "calls").read_text() if (self.folder / "calls").exists() else ""
        return [line.replace("runs/demo/", "") for line in text.splitlines()]


@pytest.fixture
def project(tmp_path) -> Project:
    return Project(tmp_path, check=False)


@pytest.fixture
def checked_project(tmp_path) -> Project:
    return Project(tmp_path, check=True)


def tree(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_make_alone_lists_what_can_be_typed(project):
    text = project.make().stdout
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert len(targets) > 12 and all(f"make {name} " in text for name in targets)
    variables = (
        "RECIPE=demo",
        'SET=""',
        "DATA=data",
        "INPUT=",
        "FROM=finetuned-base",
        "RUNS=runs",
        "INIT=base",
        "FACTORS=",
        'LAUNCH=""',
        "BASE=",
        "REFERENCE=",
        "REPEATS=1",
    )
    assert all(variable in text for variable in variables)


def test_a_rehearsal_writes_nothing_and_shows_every_stage(project):
    before = tree(project.folder)
    text = project.make("-n", "dapt").stdout
    assert tree(project.folder) == before
    assert re.findall(r"-m stages\.(\w+) ", text) == ["check", *(call.split()[0] for call in ALL)]


def test_dapt_makes_everything_once_and_in_order(project):
    assert project.calls("dapt") == ALL
    before = worked()
    assert project.calls("dapt") == []
    assert worked() - before < 1


def worked() -> float:
    """Seconds of CPU that commands took: a busy machine has no more of them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("name", ["corpus", "finetuned-base", "dapt", "dapt-2"])
def test_what_is_finished_when_a_run_is_stopped_stays(project, name):
    """Make takes a target away whose command was running: a training of days, had it just been given its name."""
    project.make("dapt", "REPEATS=2")
    manifest = project.folder / "runs" / "demo" / name / "manifest.json"
    manifest.unlink()
    (project.folder / "slow").touch()
    command = ["make", "TORCH_INDEX=", "REPEATS=2", str(manifest.relative_to(project.folder))]
    with subprocess.Popen(command, cwd=project.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as making:
        while not manifest.exists():
            assert making.poll() is None
        making.terminate()
    assert manifest.exists() and making.returncode


def test_no_artifact_that_make_makes_is_taken_away(project):
    told = project.make("-pn", "REPEATS=2", "dapt-tapt", "export", "show", "agreement", "diagnose").stdout
    said: dict[str, str] = {}
    for name, lines in re.findall(r"^(runs/demo/[^%\s]+/manifest\.json):.*\n((?:#.*\n)*)", told, re.MULTILINE):
        said[name] = said.get(name, "") + lines
    patterns = re.findall(r"^\$\(RUN\)/(\S*%\S*)/manifest\.json:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    listed = re.search(r"^OF_SOME .*", (ROOT / "Makefile").read_text(), re.MULTILINE)[0].split()
    assert set(patterns) == set(listed[2:])  # what those make, Make knows only when it makes it
    by_name = [
        name for name in said if not Path(name).parent.name.startswith(tuple(p.partition("%")[0] for p in patterns))
    ]
    assert len(by_name) > 15 and [name for name in by_name if "Precious" not in said[name]] == []


def test_tapt_after_dapt_adds_what_is_missing(project):
    project.calls("dapt")
    assert project.calls("tapt") == ["pretrain tapt", "finetune finetuned-tapt", "fill filled-tapt", "report report"]
    assert project.calls("dapt-tapt") == [
        "pretrain dapt-tapt",
        "finetune finetuned-dapt-tapt",
        "fill filled-dapt-tapt",
        "report report",
    ]


def test_the_domain_comes_before_the_task_text(project):
    calls = project.calls("dapt-tapt")
    assert calls.index("pretrain dapt") < calls.index("pretrain dapt-tapt")


@pytest.mark.parametrize("policy", ["random", "whole_word"])
def test_masks_that_ask_no_tagger_wait_for_none(project, policy):
    wanted = [call for call in ALL if call not in ("score scores", "train_tagger tagger")]
    calls = project.calls("dapt", f"SET=masked.policy={policy}")
    assert sorted(calls) == sorted(wanted) and calls.index("mask masked") < calls.index("pretrain dapt")
    assert "--tagger" not in (project.folder / "commands").read_text()


def test_a_scorer_without_a_classifier_waits_for_none(project):
    calls = project.calls("tagger", "SET=scores.scorer=log_odds")
    assert "finetune finetuned-base" not in calls and calls[-2:] == ["score scores", "train_tagger tagger"]
    [command] = [line for line in (project.folder / "commands").read_text().splitlines() if "stages.score" in line]
    assert "--init runs/demo/base --corpus runs/demo/corpus" in command and "--classifier" not in command


@pytest.mark.parametrize(
    ("scorer", "given", "waits"),
    [
        ("tagger", "--tagger runs/demo/tagger", ALL[:5]),
        ("gradient", "--classifier runs/demo/finetuned-base", ALL[:3]),
        ("tfidf", "", ALL[:2]),
        ("excess_loss", "--reference runs/other/tapt", ALL[:2]),
    ],
)
def test_masks_wait_for_what_their_scorer_needs_and_nothing_else(project, scorer, given, waits):
    calls = project.calls("masked", f"SET=masked.scorer={scorer}", "REFERENCE=runs/other/tapt")
    assert sorted(calls) == sorted([*waits, "mask masked"])
    [command] = [line for line in (project.folder / "commands").read_text().splitlines() if "stages.mask" in line]
    inputs = re.findall(r"--(?:tagger|classifier|reference) \S+", command)
    assert inputs == ([given] if given else [])


def test_only_a_choice_by_what_an_encoder_makes_of_a_text_waits_for_the_base(project):
    assert project.calls("chosen", "SET=chosen.method=knn") == ["prepare corpus", "choose chosen"]
    asked = ("chosen", "SET=chosen.method=knn chosen.vectors=encoder")
    assert project.calls(*asked) == ["prepare corpus", "start base", "choose chosen"]
    assert "--init runs/demo/base" in (project.folder / "commands").read_text().splitlines()[-1]


def test_another_reference_is_another_masked_corpus(project):
    asked = ("masked", "SET=masked.scorer=excess_loss")
    project.calls(*asked, "REFERENCE=runs/a/tapt")
    assert project.calls(*asked, "REFERENCE=runs/a/tapt") == []
    assert project.calls(*asked, "REFERENCE=runs/b/tapt") == ["mask masked"]


def test_scorers_are_compared_with_what_there_is(project):
    assert sorted(project.calls("agreement")) == sorted([*ALL[:3], "agree agreement"])
    assert project.calls("agreement") == []
    assert project.calls("agreement", "REFERENCE=runs/a/tapt") == ["agree agreement"]
    assert "--reference runs/a/tapt" in (project.folder / "commands").read_text().splitlines()[-1]


def test_a_scorer_is_read_from_the_recipe_and_from_those_it_extends(project):
    recipes = project.folder / "stages" / "recipes"
    (recipes / "mine.toml").write_text('extends = "demo"\n\n[masked]\nscorer = "loss"\n')
    (recipes / "yours.toml").write_text('extends = "mine"\n\n[scores]\nscorer = "random"\n')
    for recipe in ("mine", "yours"):
        assert not [call for call in project.calls("masked", f"RECIPE={recipe}") if "tagger" in call]
    command = project.make("-n", "scores", "RECIPE=yours").stdout
    assert "--init runs/yours/base" in command


def test_domain_and_task_are_read_by_a_base_only_where_it_is_given_words_of_them(checked_project):
    for part in ("general", "domain", "task"):
        (checked_project.folder / "runs" / "demo" / "corpus" / part).mkdir(parents=True)
    for settings, told in ((), False), (("BASE=/a", "SET=base.vocabulary.words=9"), True):
        (checked_project.folder / "commands").unlink(missing_ok=True)
        assert "start base" in checked_project.calls("base", *settings)
        [command] = [
            line for line in (checked_project.folder / "commands").read_text().splitlines() if "start" in line
        ]
        assert "--general runs/demo/corpus/general" in command
        assert ("--domain runs/demo/corpus/domain --task runs/demo/corpus/task" in command) == told
        assert ("--domain" in command) == told


def test_the_makefile_knows_which_scorers_need_what(project):
    lists = dict(re.findall(r"^(\w+)_SCORERS\s*:= (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for name, need in (("CLASSIFIER", "classifier"), ("REFERENCE", "reference")):
        wanted = {scorer for scorer, recipe in SCORERS.items() if need in recipe.needs}
        assert set(lists[name].split()) - {"buffer", "causal_prefix"} == wanted


@pytest.mark.parametrize(
    "settings",
    [
        "dapt.probe.rows=9 masked.general_documents=5",
        "masked.scorer=loss chosen.method=knn chosen.vectors=encoder dapt.objective=clm dapt.clm.select=excess_loss",
        "scores.scorer=tfidf tapt.probe.rows=9",
        "masked.scorer=gradient",
        "masked.scorer=excess_loss",
    ],
)
def test_the_plan_of_a_run_gives_each_stage_what_the_makefile_gives_it(project, settings):
    run = project.folder / "runs" / "demo"
    check("demo", settings.split(), run / ".settings")
    for part in ("corpus/general", "corpus/domain", "corpus/elsewhere", "masked/general"):
        if part != "masked/general" or "general_documents" in settings:
            (run / part).mkdir(parents=True)
    arms = [
        f"{arm}{n}"
        for arm in ("dapt", "dapt-tapt", "dapt-control", "tapt-control", "dapt-tapt-control", "general")
        for n in ("", "-2")
    ]
    goals = [f"runs/demo/finetuned-{arm}/manifest.json" for arm in arms]
    done = project.make(*goals, f"SET={settings}", "REPEATS=2", "REFERENCE=runs/other/tapt")
    assert done.returncode == 0, done.stderr
    plan = Plan(run, {}, Path("runs/other/tapt"))
    commands = (project.folder / "commands").read_text().splitlines()
    assert len(commands) > 20
    for line in commands:
        out = re.search(r"--out runs/demo/(\S+)", line)[1]
        if out == "corpus":
            continue
        given = re.findall(r"--(?!out|recipe|set|data|slices)(\w+) (\S+)", line)
        planned = {name: str(path).replace(f"{project.folder}/", "") for name, path in plan.inputs(out).items()}
        assert dict(given) == planned, out


def test_hardware_is_for_tensors_and_rows_do_without(project):
    project.calls("dapt", "LAUNCH=.venv/bin/python launched")
    commands = (project.folder / "commands").read_text().splitlines()
    launched = {line.split("stages.")[1].split()[0] for line in commands if line.startswith("launched")}
    assert launched == {"start", "finetune", "score", "train_tagger", "mask", "pretrain"}


def test_raw_text_is_cleaned_in_slices_where_there_are_workers_or_it_is_asked_for(project):
    assert project.calls("corpus", "WORKERS=8") == ["clean slices", "prepare corpus"]
    assert project.calls("slices", "TASK=2/4") == ["clean slices"]


def test_another_data_folder_is_looked_into(project):
    project.calls("corpus")
    assert project.calls("corpus", "DATA=/elsewhere") == ["prepare corpus"]
    assert project.calls("corpus", "DATA=/elsewhere") == []


def test_overrides_and_a_base_reach_every_stage(project):
    project.calls("corpus", "SET=corpus.min_chars=5 base.layers=3", "BASE=/a/model")
    [command] = (project.folder / "commands").read_text().splitlines()
    assert "--set corpus.min_chars=5 base.layers=3 base.model=/a/model --out" in command


def test_a_recipe_elsewhere_is_named_after_its_file(project):
    shutil.copy(ROOT / "stages/recipes/demo.toml", project.folder / "mine.toml")
    assert project.calls("corpus", "RECIPE=mine.toml") == ["prepare runs/mine/corpus"]


def test_a_changed_requirement_is_not_met_by_an_old_environment(project):
    os.utime(project.folder / "requirements.txt", (2**31, 2**31))
    assert "making .venv" in project.make("-n", "dapt").stdout


def test_a_file_is_predicted_by_the_best_adapted_model_there_is(project):
    project.calls("base")
    assert project.calls("predict", "INPUT=my/reviews.jsonl.gz") == ["predict predicted-reviews"]
    project.calls("dapt")
    project.make("predict", "INPUT=a.csv")
    project.make("predict", "INPUT=a.csv", "FROM=finetuned-base")
    asked = [line for line in (project.folder / "commands").read_text().splitlines() if "stages.predict" in line]
    assert [re.search(r"--model \S*/(\S+) --texts (\S+)", line).groups() for line in asked] == [
        ("finetuned-base", "my/reviews.jsonl.gz"), ("finetuned-dapt", "a.csv"), ("finetuned-base", "a.csv")
    ]  # fmt: skip


def test_what_is_published_is_made_first_and_an_upload_is_for_who_names_a_repository(project):
    said = (project.folder / "commands").read_text
    assert project.calls("publish", "FROM=dapt")[-1] == "publish published-dapt" and "stages.push" not in said()
    assert project.make("publish", "FROM=dapt", "UPLOAD=public").returncode == 2 and "stages.push" not in said()
    for upload in ("", "private"):
        project.make("publish", "FROM=dapt", "PUSH=me/toy", f"UPLOAD={upload}")
        asked = said().splitlines()[-1].split("stages.push ")[1].split()
        assert asked == ["--folder", "runs/demo/published-dapt", "--repository", "me/toy", "--upload", *upload.split()]


def test_a_learning_rate_is_looked_for_from_any_checkpoint(project):
    assert project.calls("lr-find") == [*ALL[:2], "find_rate rate-base"]
    assert project.calls("lr-find") == []
    assert project.calls("lr-find", "INIT=dapt")[-1] == "find_rate rate-dapt"


def test_any_adapted_checkpoint_is_mixed_with_the_base_and_fine_tuned(project):
    more = ["interpolate interpolated", "finetune finetuned-interpolated", "fill filled-interpolated", "report report"]
    assert project.calls("interpolated") == [*ALL[:-3], *more]
    assert project.calls("interpolated") == []
    project.calls("interpolated", "ADAPTED=dapt-tapt")
    asked = [line for line in (project.folder / "commands").read_text().splitlines() if "stages.interpolate" in line]
    assert [re.search(r"--adapted \S*/(\S+) --masked \S*/(\S+)", line).groups() for line in asked] == [
        ("dapt", "domain"), ("dapt-tapt", "task")
    ]  # fmt: skip
    filled = [line for line in (project.folder / "commands").read_text().splitlines() if "stages.fill" in line]
    assert ["--masked runs/demo/masked/task" in line for line in filled] == [False, True]


def test_general_text_is_given_to_every_pretraining_where_it_is_masked(project):
    project.calls("dapt-tapt")
    (project.folder / "runs" / "demo" / "masked" / "general").mkdir()
    project.calls("dapt-tapt", "SET=dapt.trainer.steps=3")
    calls = [line for line in (project.folder / "commands").read_text().splitlines() if "stages.pretrain" in line]
    assert ["--general runs/demo/masked/general" in line for line in calls] == [False, False, True, True]


def test_controls_are_pretrained_as_dapt_is_on_random_words_and_on_general_text(project):
    project.calls("dapt")
    settings = project.folder / "runs/demo/.settings/masked.json"
    settings.write_text('{"general_documents": 40}')
    os.utime(settings, (0, 0))
    calls = project.calls("controls")
    assert calls == ["mask masked-control", "pretrain dapt-control", "finetune finetuned-dapt-control",
                     "pretrain general", "finetune finetuned-general", "report report"]  # fmt: skip
    mask, control, _, general, *_ = (project.folder / "commands").read_text().splitlines()[-6:]
    assert "--set masked.control=true --out" in mask
    assert "masked.control" not in control and "--masked runs/demo/masked-control/domain" in control
    assert "--masked runs/demo/masked/general" in general
    assert project.calls("controls") == []


def test_every_arm_that_is_asked_for_is_pretrained_so_many_times(project):
    arms = ("dapt", "dapt-2", "dapt-3")
    repeats = [f"{how}{arm}" for arm in arms for how in ("pretrain ", "finetune finetuned-")]
    calls = project.calls("dapt", "REPEATS=3")
    assert [call for call in calls if "dapt" in call and "fill" not in call] == repeats
    assert project.calls("dapt", "REPEATS=3") == project.calls("dapt", "report") == []
    project.calls("dapt-tapt", "REPEATS=2", "SET=dapt.trainer.steps=9")
    commands = (project.folder / "commands").read_text().splitlines()
    [second] = [line for line in commands if line.endswith("runs/demo/masked/task") and "dapt-tapt-2" in line]
    assert "--set dapt.trainer.steps=9 tapt.repeat=2 --out" in second and "--init runs/demo/dapt-2 " in second
    [dapt] = [line for line in commands if "dapt.trainer.steps=9" in line and "--out runs/demo/dapt-2 " in line]
    assert "dapt.repeat=2" in dapt
    calls = project.calls("controls", "REPEATS=2")
    assert {"pretrain dapt-control", "pretrain dapt-control-2", "finetune finetuned-dapt-control-2"} <= {*calls}
    refused = project.make("dapt", "REPEATS=often")
    assert refused.returncode == 2 and "REPEATS=often: how often is it pretrained?" in refused.stderr


@pytest.mark.parametrize(
    ("domain", "there", "wanted"),
    [
        (["a"], ["dapt"], ["dapt-control"]),
        (["a"], ["dapt", "tapt"], ["dapt-control", "tapt-control"]),
        (["a"], ["dapt", "dapt-tapt"], ["dapt-control", "dapt-tapt-control"]),
        ([], [], ["tapt", "tapt-control"]),
    ],
)
def test_an_arm_has_its_control_with_and_without_a_domain(project, domain, there, wanted):
    for arm in there:
        project.calls(arm)
    settings = project.folder / "runs/demo/.settings/corpus.json"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(json.dumps({"domain": domain}))
    os.utime(settings, (0, 0))
    calls = [call for call in project.calls("controls") if call.startswith(("pretrain", "finetune finetuned-"))]
    made = [line for arm in wanted for line in (f"pretrain {arm}", f"finetune finetuned-{arm}")]
    assert [call for call in calls if call != "finetune finetuned-base"] == made
    assert project.calls("controls") == []


def test_where_words_are_random_already_the_control_is_general_text(project):
    done = project.make("controls", "RECIPE=demo-random")
    assert done.returncode == 2 and 'SET="masked.general_documents=4000"' in done.stderr
    settings = project.folder / "runs/demo-random/.settings"
    (settings / "corpus.json").write_text('{"domain": []}')
    (settings / "masked.json").write_text('{"general_documents": 40}')
    done = project.make("controls", "RECIPE=demo-random")
    assert done.returncode == 2 and "of a recipe with a domain" in done.stderr


def test_settings_reach_stages_with_the_quotes_that_are_in_them(project):
    lists = ["dapt.mixture=['a=3','b=1']", 'report.against=["random"]']
    project.calls("dapt", f"SET={' '.join(lists)}")
    assert f"--set {' '.join(lists)} --out" in (project.folder / "commands").read_text()
    variants = "random:masked.policy=random,dapt.mixture=['c=1']"
    project.calls("compare", "RECIPES=demo", f"VARIANTS={variants}", f"SET={lists[1]}")
    commands = (project.folder / "commands").read_text().splitlines()
    [dapt] = [line for line in commands if "stages.pretrain" in line and "demo@random/dapt " in line]
    assert f"--set {lists[1]} masked.policy=random dapt.mixture=['c=1'] --out" in dapt
    assert f"stages.report --recipe demo --set {lists[1]} --runs" in commands[-1]


def test_settings_are_tried_one_at_a_time_and_several_where_they_are_joined(project):
    factors = "FACTORS=stabilisers.mixout=0.1+head.pooling=mean loss.terms=['focal']"
    tried = ["ablated-base-stabilisers.mixout=0.1+head.pooling=mean", "ablated-base-loss.terms=[focal]"]
    calls = project.calls("ablate", factors, "SET=finetuned.seeds=[1,2]")
    assert calls[-3:] == [*(f"finetune {name}" for name in tried), "ablate ablation-base"]
    *_, one, other, table = (project.folder / "commands").read_text().splitlines()
    assert one.endswith("--set finetuned.seeds=[1,2] finetuned.stabilisers.mixout=0.1 finetuned.head.pooling=mean")
    assert other.endswith("finetuned.loss.terms=['focal']")
    assert f"--others runs/demo/{tried[0]} runs/demo/{tried[1]} --out" in table


@pytest.mark.parametrize("given", [(), ("FACTORS=head.pooling=mean head.widths=[256]",)])
def test_what_a_task_has_no_use_for_is_left_out_of_the_matrix_but_not_of_what_is_asked_for(project, given):
    python = project.folder / ".venv" / "bin" / "python"
    python.write_text(
        python.read_text().replace('mkdir -p "$out"', '[[ "$*" == *head.pooling=mean* ]] && exit 2\nmkdir -p "$out"')
    )
    done = project.make("ablate", *given)
    table = [line for line in (project.folder / "commands").read_text().splitlines() if "stages.ablate" in line]
    assert done.returncode == (2 if given else 0) and len(table) == (0 if given else 1)
    assert given or ("pooling" not in table[0] and "head.widths=[256]" in table[0])


@pytest.mark.parametrize("verb", ["predict", "correct"])
def test_predicting_and_correcting_need_a_file(project, verb):
    done = project.make(verb)
    assert done.returncode == 2 and done.stderr.startswith(f"{verb}: name a file: make {verb} INPUT=")


def test_a_file_is_corrected_by_the_model_that_is_named(project):
    assert project.calls("correct", "INPUT=my/texts.txt", "FROM=finetuned-base") == ["correct corrected-texts"]


def test_new_cards_are_about_what_is_typed_and_not_about_what_an_environment_has(project, monkeypatch):
    for name in ("LANGUAGE", "TEXT", "LABEL", "NAME", "TASK", "DOMAIN", "GENERAL"):
        monkeypatch.setenv(name, "zh_CN:zh")
    said = project.make("-n", "new", "NAME=shop", "DOMAIN=it's/*.txt", "BASE=some/base").stdout
    words = shlex.split(said.replace("\\\n", ""))
    given = dict(zip(words[3::2], words[4::2], strict=True))
    typed = {"--name": "shop", "--domain": "it's/*.txt", "--base": "some/base"}
    assert given == dict.fromkeys(("--task", "--general", "--text", "--label", "--language"), "") | typed


@pytest.mark.parametrize("given", ["RECIPE=my shop/shop.toml", "RUNS=my runs", "VARIANT=a b"])
def test_a_name_with_a_blank_is_refused_before_anything_is_written(project, given):
    before, done = tree(project.folder), project.make("corpus", given)
    name, _, value = given.partition("=")
    assert done.returncode == 2 and f'{name}="{value}": make parts its words at blanks' in done.stderr
    assert len(done.stderr.splitlines()) == 1 and tree(project.folder) == before


def test_comparing_needs_names(project):
    done = project.make("compare")
    assert done.returncode != 0 and 'make compare RECIPES="demo demo-random"' in done.stderr


def test_two_recipes_are_made_and_put_side_by_side_with_the_control_of_what_is_selective(project):
    settings = project.folder / "runs/demo/.settings"
    settings.mkdir(parents=True)
    (settings / "masked.json").write_text('{"policy": "selective"}')
    calls = project.calls("compare", "RECIPES=demo demo-random")
    controls = [call for call in calls if "-control" in call]
    assert controls == ["mask masked-control", "pretrain dapt-control", "finetune finetuned-dapt-control"]
    assert calls[-1] == "report runs/compare/report"
    assert calls[:3] == ["prepare corpus", "prepare runs/demo-random/corpus", "estimate"]
    assert {call.split("/")[1] for call in calls if call.startswith("prepare runs/")} == {"demo-random"}
    assert "finetune finetuned-dapt" in calls and "finetune runs/demo-random/finetuned-dapt" in calls


def test_every_variant_of_every_recipe_is_made_beside_it(project):
    variants = "tfidf:masked.scorer=tfidf,masked.policy=selective both:dapt.objective=mlm+sop"
    calls = project.calls("compare", "RECIPES=demo demo-en", f"VARIANTS={variants}", "SET=dapt.trainer.steps=9")
    runs = [f"runs/{recipe}{of}" for recipe in ("demo", "demo-en") for of in ("", "@tfidf", "@both")]
    commands = (project.folder / "commands").read_text()
    dapt = [line for line in commands.splitlines() if "stages.pretrain" in line]
    assert [re.search(r"--out (\S+)/dapt ", f"{line} ")[1] for line in dapt] == runs
    assert "dapt.trainer.steps=9 masked.scorer=tfidf masked.policy=selective" in dapt[1]
    assert "dapt.trainer.steps=9 dapt.objective=mlm+sop" in dapt[2] and "tfidf" not in dapt[2]
    assert f"--runs {' '.join(runs)} " in commands.splitlines()[-1] and calls[-1] == "report runs/compare/report"


def test_a_changed_setting_reaches_what_depends_on_it_and_nothing_else(checked_project):
    assert checked_project.calls("dapt") == ALL
    assert checked_project.calls("dapt", "SET=dapt.trainer.steps=7") == ALL[-4:]


def test_an_unknown_setting_is_refused_with_the_nearest_name_before_anything_runs(checked_project):
    done = checked_project.make("dapt", "SET=dapt.trainer.step=7 corpus.dev_shar=0.5")
    assert done.returncode != 0 and not (checked_project.folder / "calls").exists()
    [told] = [line for line in done.stderr.splitlines() if not line.startswith("make:")]
    assert told.startswith("recipe demo: ")
    assert "dapt.trainer.step (did you mean steps?)" in told and "corpus.dev_shar (did you mean dev_share?)" in told


def test_a_recipe_that_does_not_exist_is_refused_in_one_line(checked_project):
    done = checked_project.make("dapt", "RECIPE=dmeo")
    [told] = [line for line in done.stderr.splitlines() if not line.startswith("make:")]
    assert done.returncode != 0 and told.startswith("recipe dmeo: no recipe dmeo") and "did you mean demo?" in told
