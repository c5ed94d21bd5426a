"""``asr.unpack``: archives that want out of their folder, lie, or are no archives."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from asr.errors import BundleError
from asr.unpack import MAX_FILES, unpack

Files = dict[str, bytes]


def zipped(path: Path, files: Files) -> Path:
    """A zip archive of these files."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tarred(path: Path, files: Files) -> Path:
    """A tar.gz archive of these files."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


either = pytest.mark.parametrize("pack", [zipped, tarred])
Pack = Callable[[Path, Files], Path]


@either
def test_files_come_out_as_they_went_in(tmp_path: Path, pack: Pack) -> None:
    """Both kinds, told by content and not by name, with folders."""
    files = {"m/a.txt": b"one", "b.bin": bytes(3000)}
    folder = unpack(pack(tmp_path / "archive", files), tmp_path / "out")
    assert {str(path.relative_to(folder)) for path in folder.rglob("*")} == {"m", "m/a.txt", "b.bin"}
    assert (folder / "m/a.txt").read_bytes() == b"one"
    assert (folder / "b.bin").read_bytes() == bytes(3000)


@either
@pytest.mark.parametrize("name", ["../evil", "m/../../evil", "/tmp/evil", "C:evil", "..\\evil"])
def test_names_that_lead_out_are_refused(tmp_path: Path, pack: Pack, name: str) -> None:
    """Nothing is written outside of the folder."""
    with pytest.raises(BundleError, match="leads out of its folder"):
        unpack(pack(tmp_path / "archive", {name: b"x"}), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "out"]


@either
def test_unpacked_size_is_bounded(tmp_path: Path, pack: Pack) -> None:
    """A bomb is stopped while it unpacks: a megabyte of zeros packs into a thousandth."""
    archive = pack(tmp_path / "archive", {"a": bytes(600_000), "b": bytes(600_000)})
    with pytest.raises(BundleError, match="unpacks to more than 1000000 bytes"):
        unpack(archive, tmp_path / "out", max_bytes=1_000_000)


@either
def test_number_of_files_is_bounded(tmp_path: Path, pack: Pack) -> None:
    """A million empty files cost inodes, not bytes."""
    archive = pack(tmp_path / "archive", {f"f{at}": b"" for at in range(MAX_FILES + 1)})
    with pytest.raises(BundleError, match="more than 1000 files"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    """Only plain files and folders are unpacked."""
    with tarfile.open(tmp_path / "archive", "w:gz") as archive:
        entry = tarfile.TarInfo("link")
        entry.type, entry.linkname = kind, "/etc/passwd"
        archive.addfile(entry)
    with pytest.raises(BundleError, match="'link', which is not a plain file"):
        unpack(tmp_path / "archive", tmp_path / "out")


def test_links_in_a_zip_are_refused(tmp_path: Path) -> None:
    """A zip made on Unix keeps a link as a file with its mode."""
    with zipfile.ZipFile(tmp_path / "archive", "w") as archive:
        entry = zipfile.ZipInfo("link")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(BundleError, match="'link', which is not a plain file"):
        unpack(tmp_path / "archive", tmp_path / "out")


def test_an_entry_under_a_file_is_refused(tmp_path: Path) -> None:
    """``a`` cannot be a file and a folder."""
    with pytest.raises(BundleError, match="two entries"):
        unpack(tarred(tmp_path / "archive", {"a": b"x", "a/b": b"y"}), tmp_path / "out")


@either
def test_a_damaged_archive_is_refused(tmp_path: Path, pack: Pack) -> None:
    """Cut in the middle, it cannot be unpacked."""
    archive = pack(tmp_path / "archive", {"a": bytes(range(256)) * 64, "b": bytes(100)})
    archive.write_bytes(archive.read_bytes()[:100])
    with pytest.raises(BundleError, match="cannot be unpacked"):
        unpack(archive, tmp_path / "out")


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    """A web page, say."""
    (tmp_path / "archive").write_text("<html>Not found</html>")
    with pytest.raises(BundleError, match=r"neither a zip nor a tar\.gz"):
        unpack(tmp_path / "archive", tmp_path / "out")
