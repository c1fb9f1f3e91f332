"""Which arms are compared with which, what is said of them, and what stands without a control."""

import json
from pathlib import Path

import pytest

from pipeline.results.arms import Arm, arms_of, by_task, comparable
from pipeline.results.differences import differences, verdicts
from pipeline.results.sections import results_table
from pipeline.run.artifact import MANIFEST
from pipeline.run.errors import InputError

SCORES = {"base": 70, "dapt": 80, "dapt-control": 75, "general": 71, "tapt": 74}


def made(run: Path, arms: dict[str, float], task: str = "t") -> Path:
    """A run as far as it is read: five seeds an arm, a point apart."""
    for name, score in arms.items():
        metrics = {
            f"accuracy_seed_{seed}": score + seed * len(name[1:]) % 3 + seed * (name == "dapt") % 2
            for seed in range(5)
        } | {"degenerate": 0}
        config = {"steps": 5} | ({"repeat": int(name[-1]), "newer": 0} if name[-1].isdecimal() else {})
        told = {
            "version": 1,
            "key": name,
            "stage": "start" if name == "base" else "pretrain",
            "provenance": {"seconds": 1},
        }
        for folder, more in (
            (f"finetuned-{name}", {"config": {}, "inputs": {"task": task, "init": ""}}),
            (name, {"config": config, "inputs": {"init": "a"}}),
        ):
            (run / folder).mkdir(parents=True)
            (run / folder / MANIFEST).write_text(
                json.dumps({"digest": "", "files": {}, "metrics": metrics, **told, **more})
            )
        evidence = {"metric": "accuracy", "metrics": ["accuracy", "macro_f1"], "kind": "value", "names": []}
        seeds = [{"measured": {"accuracy": metrics[f"accuracy_seed_{i}"], "macro_f1": 0.0}} for i in range(5)]
        evidence["seeds"] = seeds
        (run / f"finetuned-{name}" / "evidence.json").write_text(json.dumps(evidence))
    return run


def nothing(folder: Path) -> list[dict[str, object]]:
    """No predictions: the error is that over runs alone."""
    return []


def compared(*tasks: list[Arm]) -> list[list[tuple[str, str]]]:
    return [[(one.arm, one.control) for one in some] for some in differences(tasks, nothing, 0.95)]


def test_every_arm_is_compared_with_base_and_with_its_controls(tmp_path):
    arms = arms_of(made(tmp_path / "demo", SCORES), prefix=False)
    assert compared(arms) == [[
        *((name, "base") for name in ("dapt", "dapt-control", "general", "tapt")),
        ("dapt", "dapt-control"), ("dapt", "general"),
    ]]  # fmt: skip


def test_arms_of_the_first_recipe_are_compared_with_their_like_in_the_others(tmp_path):
    runs = [made(tmp_path / name, {"base": 70, "dapt": 80}) for name in ("demo", "random")]
    [arms] = by_task(runs)
    others = [(name, "demo/base") for name in ("demo/dapt", "random/base", "random/dapt")]
    assert compared(arms) == [[*others, ("demo/dapt", "random/dapt")]]


def test_an_arm_is_held_against_the_base_of_its_own_run(tmp_path):
    small, large = (
        made(tmp_path / "small", {"base": 70, "dapt": 75}),
        made(tmp_path / "large", {"base": 85, "dapt": 83}),
    )
    for path in large.glob(f"finetuned-*/{MANIFEST}"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"key": f"{path.parent.name} of another base"}))
    arms = comparable(by_task([small, large])[0])[0]
    assert compared(arms)[0][:3] == [
        ("small/dapt", "small/base"), ("large/base", "small/base"), ("large/dapt", "large/base"),
    ]  # fmt: skip
    [found] = differences([arms], nothing, 0.95)
    lost = next(one for one in found if one.arm == "large/dapt")
    assert lost.found.mean < 0 and results_table(arms, found).rows[3][3] == lost.shown
    assert [line.en for line in verdicts(found, arms) if "small/dapt" in line.en and "Without" in line.en]


def test_a_variant_is_compared_with_its_recipe(tmp_path):
    runs = [made(tmp_path / name, {"base": 70, "dapt": 80}) for name in ("demo", "demo@knn")]
    [arms] = by_task(runs)
    assert ("demo@knn/dapt", "demo/dapt") in compared(arms)[0]


def test_variants_are_compared_with_one_of_them_where_that_is_asked(tmp_path):
    runs = [made(tmp_path / name, {"base": 70, "dapt": 80}) for name in ("demo", "demo@knn", "demo@random")]
    [arms] = by_task(runs)
    pairs = lambda *against: [(one.arm, one.control) for one in differences([arms], nothing, 0.95, against)[0]]
    assert set(pairs("random")) - set(pairs()) == {("demo@knn/dapt", "demo@random/dapt")}
    assert ("demo@random/dapt", "demo/dapt") in pairs("random")
    with pytest.raises(InputError, match="no run is the variant rnd; there are knn, random"):
        pairs("rnd")
    [alone] = by_task(runs[:1])
    assert differences([alone], nothing, 0.95, ["rnd"]) == differences([alone], nothing, 0.95)


def test_of_many_comparisons_those_without_a_difference_share_a_sentence(tmp_path):
    runs = [made(tmp_path / f"demo@{i}", {"base": 70, "dapt": 70 + 10 * (i == 3)}) for i in range(9)]
    [arms] = by_task(runs)
    [found] = differences([arms], nothing, 0.95)
    lines = [line.en for line in verdicts(found, arms)]
    same = [one for one in found if one.verdict == "same"]
    [shared] = [line for line in lines if line.startswith("**No difference found** in ")]
    told = [part.rpartition(" against ")[::2] for part in shared.partition(": ")[2].removesuffix(".").split("; ")]
    assert sum(len(arms.split(", ")) for arms, _ in told) == len(same) and 0 < len(same) < len(found)
    assert {(one.arm, one.control) for one in same} == {(arm, c) for arms, c in told for arm in arms.split(", ")}
    assert f"in {len(same)} comparisons" in shared


def test_recipes_of_other_tasks_are_groups_of_their_own_and_corrected_together(tmp_path):
    runs = [made(tmp_path / f"run{i}", {"base": 70, "dapt": 72}, task=f"task{i}") for i in range(3)]
    groups = by_task(runs)
    assert [[arm.name for arm in arms] for arms in groups] == [[f"run{i}/base", f"run{i}/dapt"] for i in range(3)]
    together = differences(groups, nothing, 0.95)
    alone = differences(groups[:1], nothing, 0.95)[0][0]
    assert [len(some) for some in together] == [1, 1, 1] and 0 < together[0][0].p == pytest.approx(3 * alone.p)


def test_a_control_that_was_trained_otherwise_is_left_out(tmp_path):
    run = made(tmp_path / "demo", SCORES)
    manifest = json.loads((run / "dapt-control" / MANIFEST).read_text())
    (run / "dapt-control" / MANIFEST).write_text(json.dumps(manifest | {"config": {"steps": 7}}))
    kept, [line] = comparable(arms_of(run, prefix=False))
    assert [arm.name for arm in kept] == ["base", "dapt", "general", "tapt"]
    assert line.en == "dapt-control is left out: it was trained otherwise than dapt; run make controls."


@pytest.mark.parametrize(("begun", "kept"), [("c", True), ("d", False), ("x", False)])
def test_the_control_of_task_text_after_domain_text_begins_at_the_control_of_the_domain(tmp_path, begun, kept):
    scores = {"base": 70, "dapt": 80, "dapt-control": 75, "dapt-tapt": 82, "dapt-tapt-control": 76}
    run = made(tmp_path / "demo", scores)
    told = {"dapt": {"digest": "d"}, "dapt-control": {"digest": "c"}, "dapt-tapt": {"inputs": {"init": "d"}},
            "dapt-tapt-control": {"inputs": {"init": begun}}}  # fmt: skip
    for name, more in told.items():
        path = run / name / MANIFEST
        path.write_text(json.dumps(json.loads(path.read_text()) | more))
        tuned = run / f"finetuned-{name}" / MANIFEST
        inputs = {"task": "t", "init": more.get("digest", "")}
        tuned.write_text(json.dumps(json.loads(tuned.read_text()) | {"inputs": inputs}))
    arms, lines = comparable(arms_of(run, prefix=False))
    pair = ("dapt-tapt", "dapt-tapt-control")
    assert (pair in compared(arms)[0]) is kept and len(lines) == (not kept)


def test_what_was_pretrained_again_is_one_arm(tmp_path):
    run = made(tmp_path / "demo", {"base": 70, "dapt": 80, "dapt-2": 81, "dapt-control": 75})
    arms, left_out = comparable(arms_of(run, prefix=False))
    assert [arm.name for arm in arms] == ["base", "dapt", "dapt-control"] and not left_out
    assert sorted(arms[1].scores) == [(repeat, seed) for repeat in (1, 2) for seed in range(5)]
    [found] = differences([arms], nothing, 0.95)
    repeats = {(one.arm, one.control): one.found.repeats for one in found}
    assert repeats == {("dapt", "base"): 2, ("dapt-control", "base"): 1, ("dapt", "dapt-control"): 1}
    assert "over 2 pretrainings and 5 seeds, p" in verdicts(found, arms)[0].en
    assert [arm.shown for arm in arms] == ["base", "dapt × 2", "dapt-control"]


def test_rows_of_every_pretraining_are_read(tmp_path):
    run = made(tmp_path / "demo", {"base": 70, "dapt": 80, "dapt-2": 81})
    for path in run.glob("finetuned-*/evidence.json"):
        path.write_text(path.read_text().replace('"value"', '"classes"'))

    def said(folder: Path) -> list[dict[str, object]]:
        right = {"finetuned-dapt": "yes", "finetuned-dapt-2": "no"}[folder.parent.name]
        return [{"id": "1", "seed": seed, "label": "yes", "predicted": right} for seed in range(5)]

    rows = comparable(arms_of(run, prefix=False))[0][1].sample(said).rows
    hits = {run: rows.measure(counts.toarray().reshape(-1, 3)) for run, counts in rows.counts.items()}
    assert hits == {(1, seed): 100 for seed in range(5)} | {(2, seed): 0 for seed in range(5)}


def test_what_was_pretrained_again_on_another_machine_is_the_same_arm(tmp_path):
    run = made(tmp_path / "demo", {"base": 70, "dapt": 80, "dapt-2": 81})
    for name, repeat, held in (("dapt", 1, 32), ("dapt-2", 2, 8)):
        manifest = json.loads((run / name / MANIFEST).read_text())
        trainer = {"steps": 7, "per_device_batch_size": held, "compile": repeat == 2}
        config = {"config": {"repeat": repeat, "trainer": trainer}}
        (run / name / MANIFEST).write_text(json.dumps(manifest | config))
    arms, left_out = comparable(arms_of(run, prefix=False))
    assert len(arms[1].pretrainings) == 2 and not left_out


@pytest.mark.parametrize("other", [{"config": {"repeat": 2, "steps": 7}}, {"inputs": {"init": "a", "masked": "b"}}])
def test_what_repeats_another_training_is_left_out(tmp_path, other):
    run = made(tmp_path / "demo", {"base": 70, "dapt": 80, "dapt-2": 81})
    manifest = json.loads((run / "dapt-2" / MANIFEST).read_text())
    (run / "dapt-2" / MANIFEST).write_text(json.dumps(manifest | other))
    arms, [line] = comparable(arms_of(run, prefix=False))
    assert [arm.name for arm in arms] == ["base", "dapt"] and not arms[1].repeats
    assert line.en == "dapt-2 is left out: it repeats another training than dapt; make it again (REPEATS)."


@pytest.mark.parametrize(("arms", "said"), [(["base", "dapt"], True), (["base", "dapt", "dapt-control"], False)])
def test_a_gain_without_a_control_is_said_to_be_one(tmp_path, arms, said):
    found = arms_of(made(tmp_path / "demo", {name: SCORES[name] for name in arms}), prefix=False)
    lines = [line.en for line in verdicts(differences([found], nothing, 0.95)[0], found)]
    assert lines[0].startswith("**dapt is better than base**: +")
    assert any("Without a control" in line for line in lines) is said


@pytest.mark.parametrize("longer", [False, True])
def test_what_was_trained_longer_is_no_control(tmp_path, longer):
    runs = [made(tmp_path / name, {"base": 70, "dapt": score}) for name, score in (("demo", 80), ("demo@long", 81))]
    manifest = json.loads((runs[1] / "dapt" / MANIFEST).read_text())
    metrics = manifest["metrics"] | {"steps": 5_000}
    (runs[1] / "dapt" / MANIFEST).write_text(json.dumps(manifest | ({"metrics": metrics} if longer else {})))
    [arms] = by_task(runs)
    lines = [line.en for line in verdicts(differences([arms], nothing, 0.95)[0], arms)]
    assert any("Without a control of equal budget (demo/dapt, demo@long/dapt)" in line for line in lines) is longer


def test_a_command_is_named_only_where_it_makes_a_control(tmp_path):
    found = arms_of(made(tmp_path / "demo", {"base": 70, "dapt-tapt": 80}), prefix=False)
    [_, line] = verdicts(differences([found], nothing, 0.95)[0], found)
    assert line.en.endswith("as many steps on any words may bring some of it.")


def test_what_was_fine_tuned_otherwise_is_left_out_and_told_what_differs(tmp_path):
    run = made(tmp_path / "demo", {"base": 70, "dapt": 80, "tapt": 75})
    for name, crf in (("base", False), ("dapt", False), ("tapt", True)):
        path = run / f"finetuned-{name}" / MANIFEST
        path.write_text(json.dumps(json.loads(path.read_text()) | {"config": {"head": {"crf": crf}}}))
    kept, [line] = comparable(arms_of(run, prefix=False))
    assert [arm.name for arm in kept] == ["base", "dapt"]
    assert line.en.startswith("tapt is left out: it was fine-tuned otherwise than base (head.crf = True)")


@pytest.mark.parametrize("confidence", [0.8, 0.99])
def test_intervals_and_verdicts_go_by_the_confidence_that_is_asked_for(tmp_path, confidence):
    found = arms_of(made(tmp_path / "demo", {"base": 70, "dapt": 71}), prefix=False)
    [one] = differences([found], nothing, confidence)[0]
    assert f"{confidence:.0%} interval [" in verdicts([one], found)[0].en
    assert one.verdict == ("same" if one.p >= 1 - confidence else "better")
