"""`make doctor` by command line: signs, remedies, and an exit code that says whether there is a fault."""

import runpy
import sys

from pipeline.training.config import TrainerConfig
from stages.examine import _rates, pinned


def doctor(*arguments: object) -> int:
    before, sys.argv = sys.argv, ["stages.examine", *map(str, arguments)]
    try:
        runpy.run_module("stages.examine", run_name="__main__", alter_sys=True)
    except SystemExit as left:
        return left.code
    finally:
        sys.argv = before
    return 0


def test_a_machine_without_a_base_is_looked_at_alone(tmp_path, capsys):
    assert doctor("--run", tmp_path / "demo@tfidf") == 0
    told = capsys.readouterr().out
    assert "✓ training" in told and "no base yet" in told and "no fault found" in told


def test_a_base_with_a_fault_is_named_with_its_remedy(tmp_path, checkpoints, capsys):
    assert doctor("--run", tmp_path, "--set", f"base.model={checkpoints['bert']}") == 2
    told = capsys.readouterr().out
    assert "✗ head" in told and "→ its head for masked words is not trained" in told and "1 fault: head" in told


def test_the_base_that_a_recipe_made_is_looked_at(tmp_path, checkpoints, capsys):
    (tmp_path / "demo@tfidf").mkdir()  # of a variant
    (tmp_path / "demo@tfidf" / "base").symlink_to(checkpoints["bert"])
    doctor("--run", tmp_path / "demo@tfidf")
    assert str(tmp_path / "demo@tfidf" / "base") in capsys.readouterr().out


def test_a_base_is_asked_about_the_learning_rates_of_what_the_recipe_names():
    rates = _rates({"corpus": {"domain": ["reviews"], "task": "stars"}, "dapt": {"trainer": {"learning_rate": 1e-4}}})
    assert rates == {"dapt.trainer.learning_rate": 1e-4, "tapt.trainer.learning_rate": TrainerConfig().learning_rate}
    assert list(_rates({"corpus": {"task": "stars"}})) == ["tapt.trainer.learning_rate"]


def test_a_wrong_recipe_is_one_line(tmp_path, capsys):
    assert doctor("--recipe", "nowhere", "--run", tmp_path) == 2
    assert capsys.readouterr().err.startswith("doctor: ")


def test_pinned_are_the_libraries_that_run_and_not_those_that_check(tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text('# What runs.\ntorch==2.1.0\ntomli==2.0; python_version < "3.11"\n\n# What checks.\npytest==9\n')
    assert pinned(path) == {"torch": "2.1.0"}
