"""Nothing goes out that was not shown, allowed and asked for. The hub is a fake: no test needs a network."""

from types import SimpleNamespace

import pytest
from huggingface_hub.errors import LocalTokenNotFoundError

from pipeline.publishing.hub import Parcel, upload
from pipeline.run.artifact import open_draft, seal
from pipeline.run.errors import InputError
from stages.push import push

CARD = "---\n{head}---\n\n# toy\n\n## Licences\n\n- shop states none.\n\n## What was found\n\nmuch\n"


class Hub:
    """What is asked of HfApi, written down."""

    def __init__(self, private=None):
        self.private, self.asked = private, []

    def create_repo(self, repo_id, repo_type, private, exist_ok):
        self.asked.append(("create", repo_id, repo_type))
        self.private = private if self.private is None else self.private

    def repo_info(self, repo_id, repo_type):
        return SimpleNamespace(private=self.private)

    def upload_folder(self, allow_patterns, **more):
        self.asked.append(("upload", allow_patterns))


@pytest.fixture
def folder(tmp_path):
    """A published model with no licence of its own."""
    return published(tmp_path, "library_name: transformers\n")


def published(tmp_path, head):
    draft = open_draft(tmp_path / "published-dapt", "key", {})
    for name, text in {"config.json": "{}", "model.safetensors": "123", "README.md": CARD.format(head=head)}.items():
        (draft / name).write_text(text)
    seal(draft, tmp_path / "published-dapt", {"key": "key"})
    return tmp_path / "published-dapt"


def test_without_a_word_on_who_is_to_see_it_everything_is_shown_and_nothing_sent(folder, monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: pytest.fail("the hub was asked"))
    shown = push(folder, "me/toy", "")
    assert "model.safetensors" in shown and "library_name: transformers" in shown and "shop states none" in shown
    assert "Nothing was uploaded" in shown and "UPLOAD=private" in shown and "much" not in shown


def test_an_upload_is_what_was_sealed_and_no_manifest(folder):
    (folder / "notes.txt").write_text("mine")
    hub = Hub()
    assert upload(Parcel(folder, "me/toy"), "private", hub) == "https://huggingface.co/me/toy"
    assert hub.private and hub.asked == [
        ("create", "me/toy", "model"),
        ("upload", ["README.md", "config.json", "model.safetensors"]),
    ]


def test_a_repository_that_others_see_is_not_taken_for_a_private_one(folder):
    hub = Hub(private=False)
    with pytest.raises(InputError, match="is there already, and public"):
        upload(Parcel(folder, "me/toy"), "private", hub)
    assert [what for what, *_ in hub.asked] == ["create"]


def test_nothing_is_public_without_a_licence_that_somebody_chose(folder, tmp_path):
    hub = Hub()
    with pytest.raises(InputError, match=r"published\.licence"):
        upload(Parcel(folder, "me/toy"), "public", hub)
    assert hub.asked == []
    licensed = published(tmp_path / "b", "license: mit\n")
    upload(Parcel(licensed, "me/toy"), "public", hub)
    assert hub.private is False


def test_what_the_hub_says_is_one_line_with_a_way_out(folder):
    hub = Hub()
    hub.create_repo = lambda **_: (_ for _ in ()).throw(LocalTokenNotFoundError("no token\nlong advice"))
    with pytest.raises(InputError, match=r"no token: log in with hf auth login, or set HF_TOKEN$"):
        upload(Parcel(folder, "me/toy"), "private", hub)


@pytest.mark.parametrize(("repository", "visibility"), [("toy", "private"), ("a/b/c", "private"), ("me/toy", "yes")])
def test_a_name_or_a_word_that_is_not_known_is_refused(folder, repository, visibility):
    with pytest.raises(InputError, match=r"PUSH=|UPLOAD="):
        upload(Parcel(folder, repository), visibility, Hub())
