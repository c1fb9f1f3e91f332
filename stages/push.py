"""Show what an upload to the Hugging Face hub would be; do it only where that is said.

    make publish FROM=dapt PUSH=me/reviews-zh                        # shows it; nothing leaves this machine
    make publish FROM=dapt PUSH=me/reviews-zh UPLOAD=private         # uploads, for you or your organisation
    make publish FROM=dapt PUSH=me/reviews-zh UPLOAD=public SET="published.licence=apache-2.0"

reads   published-<name>/   what `make publish` wrote

The token is that of `hf auth login` or HF_TOKEN. Public needs a licence that somebody chose.
"""

import argparse
import sys
from pathlib import Path

from pipeline.publishing.hub import Parcel, told, upload
from pipeline.run.errors import InputError


def push(folder: Path, repository: str, visibility: str) -> str:
    """What is printed: the upload as it would be, and what to type; after one its address."""
    parcel = Parcel(folder, repository)
    shown = told(parcel)
    if not visibility:
        public = "UPLOAD=public" if parcel.licence else 'UPLOAD=public SET="published.licence=…"'
        private = "UPLOAD=private (none but you or your organisation sees it)"
        return f"{shown}\nNothing was uploaded. To do it, add {private} or {public}."
    from huggingface_hub import HfApi

    print(shown, flush=True)
    return f"uploaded, {visibility}: {upload(parcel, visibility, HfApi())}"


def main() -> None:
    """Push from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--repository", required=True)
    parser.add_argument("--upload", default="")
    args = parser.parse_args()
    try:
        print(push(args.folder, args.repository, args.upload))
    except InputError as error:
        print(f"push: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
