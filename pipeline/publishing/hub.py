"""A published folder to the Hugging Face hub: what would be uploaded, and the upload.

Nothing here knows a token: the hub's own client takes it from HF_TOKEN or from `hf auth login`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from pipeline.pages.tables import terminal_table
from pipeline.run.artifact import read_manifest
from pipeline.run.errors import InputError
from pipeline.run.progress import size

if TYPE_CHECKING:
    from huggingface_hub import HfApi

CARD = "README.md"
VISIBILITIES = ("private", "public")


@dataclass(frozen=True)
class Parcel:
    """A published folder, as it would be uploaded."""

    folder: Path
    repository: str
    """`owner/name`."""

    def __post_init__(self) -> None:
        owner, _, name = self.repository.partition("/")
        if not owner or not name or "/" in name:
            raise InputError(f"PUSH={self.repository} is no repository of the hub: give it as owner/name")
        read_manifest(self.folder)

    @property
    def kind(self) -> str:
        """`model` or `dataset`, as the hub calls them."""
        return "model" if (self.folder / "config.json").exists() else "dataset"

    @property
    def files(self) -> dict[str, int]:
        """Name -> bytes of what is uploaded: the sealed files; the manifest stays here, as it names this machine."""
        return {name: (self.folder / name).stat().st_size for name in sorted(read_manifest(self.folder)["files"])}

    @property
    def card(self) -> str:
        """README.md."""
        return (self.folder / CARD).read_text(encoding="utf-8")

    @property
    def head(self) -> str:
        """What the hub reads of the card."""
        return self.card.split("---\n")[1]

    @property
    def licence(self) -> str:
        """That of the whole, empty where none has been chosen."""
        return str((yaml.safe_load(self.head) or {}).get("license", ""))

    @property
    def licences(self) -> str:
        """What the card says of them."""
        return self.card.partition("\n## Licences\n")[2].partition("\n## ")[0].split("\n|")[0].strip()


def told(parcel: Parcel) -> str:
    """All that a person should have seen before the upload."""
    files = parcel.files
    table = terminal_table(["file", "size"], [[name, size(count)] for name, count in files.items()])
    return "\n".join(
        [
            f"{parcel.folder} -> {parcel.kind} {parcel.repository} on the Hugging Face hub",
            "",
            table,
            "",
            f"{len(files)} files, {size(sum(files.values()))}. The card begins:",
            "",
            *(f"    {line}" for line in parcel.head.strip().splitlines()),
            "",
            "Licences:",
            "",
            *(f"    {line}" for line in parcel.licences.splitlines()),
            "",
        ]
    )


def check(parcel: Parcel, visibility: str) -> None:
    """An InputError where this must not be uploaded so."""
    if visibility not in VISIBILITIES:
        raise InputError(f"UPLOAD={visibility} is not known: say who is to see it, UPLOAD=private or UPLOAD=public")
    if visibility == "public" and not parcel.licence:
        raise InputError(
            "everyone would see it, and nobody may use it: choose a licence that its texts allow, "
            'SET="published.licence=…", or UPLOAD=private'
        )


def upload(parcel: Parcel, visibility: str, api: "HfApi") -> str:
    """Make the repository where there is none, and put the folder there as one commit; its address.

    A repository that is there keeps its visibility, so one that others can see is refused where that was not meant.
    """
    check(parcel, visibility)
    at = {"repo_id": parcel.repository, "repo_type": parcel.kind}
    _asked(lambda: api.create_repo(**at, private=visibility == "private", exist_ok=True))
    found = "private" if _asked(lambda: api.repo_info(**at)).private else "public"
    if found != visibility:
        raise InputError(f"{parcel.repository} is there already, and {found}: UPLOAD={found}, or another name")
    names = [*parcel.files]
    _asked(
        lambda: api.upload_folder(
            **at, folder_path=parcel.folder, allow_patterns=names, commit_message=f"{parcel.folder.name}, by Keymask"
        )
    )
    return f"https://huggingface.co/{'datasets/' if parcel.kind == 'dataset' else ''}{parcel.repository}"


def _asked(call: Callable[[], object]) -> object:
    """Turn what the hub, the network or a missing token say into one line."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return call()
    except (*HfHubHTTPError.__bases__, ValueError) as error:  # of its HTTP client, whichever it has, or of the system
        reason = next((line for line in str(error).strip().splitlines() if line), type(error).__name__)
        raise InputError(f"the hub did not take it: {reason}: log in with hf auth login, or set HF_TOKEN") from error
