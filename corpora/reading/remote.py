"""A raw file that lies elsewhere: s3://, hf://, https://, any protocol that fsspec knows.

    for file in found("s3://texts/reviews/*.jsonl.gz"): ...

What lies elsewhere may change, and nobody sees it: so a card names the sha256 of every such file in [checksums]. The
card is in the key of the corpus, and with it the content.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from corpora.schemas import InputError


@dataclass(frozen=True)
class Remote:
    """A file by its URL."""

    url: str

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        """Its last part, which tells the format."""
        return self.url.rpartition("/")[2]

    @property
    def size(self) -> int:
        """Its bytes, 0 where that is not told."""
        import fsspec

        with told(self.url):
            system, path = fsspec.url_to_fs(self.url)
            return system.size(path) or 0

    def open(self, mode: str = "rb") -> BinaryIO:
        """The file as it lies there."""
        import fsspec

        with told(self.url):
            return fsspec.open(self.url, mode).open()


def is_remote(written: str) -> bool:
    """Whether a path in a card is a URL."""
    return "://" in written


def found(url: str) -> list[Remote]:
    """The files of a URL: itself, those of a folder, or those of a glob, in order."""
    import fsspec

    with told(url):
        system, path = fsspec.url_to_fs(url)
        if "*" not in path and not system.isdir(path):
            return [Remote(url)] if system.exists(path) else []
        names = system.glob(path) if "*" in path else system.find(path)
        return [Remote(system.unstrip_protocol(name)) for name in sorted(names) if system.isfile(name)]


@contextmanager
def told(url: str) -> Iterator[None]:
    """What fails in the library of a protocol, of which there are as many kinds as libraries, told with the URL."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        fact = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"cannot read {url} ({fact}): look at the address and the rights to it, and whether the package of its "
            "protocol is installed"
        ) from error
