"""Install a model: an archive of a bundle, from a file or the web, becomes a verified folder.

Nothing of the archive is believed: its size is bounded, its names may not lead out, links are refused, every
file is checked against the bundle's own digests, and only then the folder appears under its name, at once.
Those digests find damage, not forgery: who published an archive is known by its ``--sha256`` or by https.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from asr import bundle, download
from asr.digest import file_digest
from asr.errors import BundleDigestError, BundleError, OptionError
from asr.model_index import NAME, is_address
from asr.unpack import MAX_BYTES, unpack

DOWNLOADS = ".downloads"  # what was interrupted waits there


@dataclass(frozen=True, slots=True)
class PullOptions:
    """``sha256`` and ``size`` of the archive; ``name`` to install under (default: the bundle's); ``force`` replaces."""

    sha256: str | None = None
    name: str | None = None
    force: bool = False
    size: int | None = None


def pull(source: str, home: Path, options: PullOptions, advance: download.Advance | None = None) -> Path:
    """Install the archive at ``source`` (a path, or an http or https address) as ``home/NAME``.

    Raises OptionError (an address or name that is not allowed, already installed), DownloadError (no network, or the
    connection broke: the same call again goes on), BundleError and BundleDigestError (what came is not the bundle
    that it should be), OSError for the file system.
    """
    if options.name is not None:
        _check_free(home, options.name, options.force)
    home.mkdir(parents=True, exist_ok=True)
    # In `home`, so that the last step is a rename; one level too deep to be taken for a bundle meanwhile.
    with (
        _archive(source, home, options, advance) as archive,
        tempfile.TemporaryDirectory(prefix=".pull-", dir=home) as temporary,
    ):
        folder = _bundle_folder(unpack(archive, Path(temporary) / "unpacked"), source)
        info = bundle.read(folder)
        bundle.verify(folder, info)
        name = options.name or info.name
        target = _check_free(home, name, options.force)
        if target.exists():
            target.rename(Path(temporary) / "replaced")
        return folder.rename(target)


def _check_free(home: Path, name: str, force: bool) -> Path:
    if not NAME.fullmatch(name):
        raise OptionError(f"{name!r} is no name for a model: letters, digits and . _ - are allowed")
    if (home / name).exists() and not force:
        raise OptionError(
            f"{home / name} is installed already; --force replaces it, --name installs beside it"
        )
    return home / name


def _bundle_folder(folder: Path, source: str) -> Path:
    """The bundle at the archive's root, or in its only folder."""
    inside = [path.parent for path in (folder / bundle.MANIFEST, *folder.glob(f"*/{bundle.MANIFEST}"))]
    found = [path for path in inside if (path / bundle.MANIFEST).is_file()]
    if len(found) != 1:
        raise BundleError(f"{source}: expected one {bundle.MANIFEST} in the archive, found {len(found)}")
    return found[0]


@contextmanager
def _archive(
    source: str, home: Path, options: PullOptions, advance: download.Advance | None
) -> Iterator[Path]:
    """The archive as a file: as it lies, or fetched."""
    if is_address(source):
        wanted = download.Wanted(source, MAX_BYTES, options.sha256, options.size)
        with download.downloaded(wanted, home / DOWNLOADS, advance) as path:
            yield path
        return
    path = Path(source)
    if path.stat().st_size > MAX_BYTES:
        raise BundleError(f"{source} is larger than {MAX_BYTES} bytes, the most that is taken")
    if options.sha256 is not None and (digest := file_digest(path)) != options.sha256.lower():
        raise BundleDigestError(f"{source} has SHA-256 {digest}; {options.sha256} was expected")
    yield path
