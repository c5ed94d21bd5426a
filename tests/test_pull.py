"""``asr.pull`` and ``voicesearch models``: from an archive to an installed, verified bundle."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from asr import bundle, model_index
from asr.bundle import DecoderSettings
from asr.cli import main
from asr.confidence import Calibration
from asr.decode import DecoderOptions
from asr.errors import BundleDigestError, BundleError, DownloadError, OptionError
from asr.frontend import FrontendOptions
from asr.pull import PullOptions, pull


def bundle_files(name: str = "tiny") -> dict[str, bytes]:
    """The files of a bundle that can be verified, though its network is only a name."""
    files = {"model.onnx": b"network", "tokens.txt": b"<blank>\nAH\n", "lexicon.txt": b"a AH\n"}
    manifest = {
        "format": 1,
        "name": name,
        "language": "en",
        "frame_samples": 640,
        "models": {"fp32": "model.onnx"},
        "frontend": FrontendOptions().as_dict(),
        "decoder": DecoderSettings("lexicon.txt", None, DecoderOptions(), Calibration()).as_dict(),
        "licence": "Apache-2.0",
        "files": {file: hashlib.sha256(content).hexdigest() for file, content in files.items()},
        "evaluation": {"wer": 0.25, "slices": {"set=quiet": {"wer": 0.125}}},
    }
    return {**files, "bundle.json": json.dumps(manifest).encode()}


def archive_of(path: Path, files: dict[str, bytes]) -> Path:
    """A zip archive of these files."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """``tiny.zip`` with its files at the root."""
    return archive_of(tmp_path / "tiny.zip", bundle_files())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of pulled models that the command line uses too."""
    monkeypatch.setenv("VOICESEARCH_MODELS", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def address(archive: Path) -> Iterator[str]:
    """The archive on a web server."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Nothing on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=archive.parent))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/tiny.zip"
    server.shutdown()
    thread.join()
    server.server_close()


def contents(folder: Path) -> list[str]:
    """Names in a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


def test_a_local_archive_is_installed_under_its_own_name(archive: Path, home: Path) -> None:
    """The folder holds the bundle, and nothing of the work is left."""
    folder = pull(str(archive), home, PullOptions())
    assert folder == home / "tiny"
    assert contents(home) == ["tiny"]
    assert contents(folder) == ["bundle.json", "lexicon.txt", "model.onnx", "tokens.txt"]
    assert bundle.find("tiny") == folder


def test_an_archive_of_a_folder_is_installed(tmp_path: Path, home: Path) -> None:
    """As made by packing the folder, under a name that was asked for."""
    files = {f"folder/{name}": content for name, content in bundle_files().items()}
    source = archive_of(tmp_path / "folder.zip", files)
    assert pull(str(source), home, PullOptions(name="mine")) == home / "mine"
    assert contents(home / "mine") == ["bundle.json", "lexicon.txt", "model.onnx", "tokens.txt"]


def test_an_archive_comes_over_http(address: str, archive: Path, home: Path) -> None:
    """With its digest; progress counts up to its size."""
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    seen: list[tuple[int, int | None]] = []
    pull(address, home, PullOptions(sha256=digest.upper()), lambda done, total: seen.append((done, total)))
    assert contents(home) == ["tiny"]
    assert seen[-1] == (archive.stat().st_size, archive.stat().st_size)


def test_a_wrong_digest_is_refused(archive: Path, home: Path) -> None:
    """Nothing is installed from another archive than the one expected."""
    with pytest.raises(BundleDigestError, match="0000 was expected"):
        pull(str(archive), home, PullOptions(sha256="0000"))
    assert contents(home) == []


def test_plain_http_needs_a_digest(address: str, home: Path) -> None:
    """Otherwise anyone on the way could put in another model."""
    with pytest.raises(OptionError, match="give its --sha256"):
        pull(address, home, PullOptions())


@pytest.mark.parametrize("source", ["file:///etc/passwd", "ftp://host/m.zip"])
def test_other_addresses_are_refused(source: str, home: Path) -> None:
    """Only http and https are fetched."""
    with pytest.raises(OptionError, match="give a path or an http or https address"):
        pull(source, home, PullOptions())


def test_what_the_server_refuses_is_told(address: str, home: Path) -> None:
    """A wrong address names itself and the server's answer."""
    with pytest.raises(DownloadError, match=r"no\.zip could not be fetched: HTTP Error 404"):
        pull(address.replace("tiny", "no"), home, PullOptions(sha256="0"))


def test_a_file_that_was_changed_is_refused(tmp_path: Path, home: Path) -> None:
    """Every file must have the digest that the bundle records."""
    source = archive_of(tmp_path / "bad.zip", bundle_files() | {"tokens.txt": b"<blank>\nIY\n"})
    with pytest.raises(BundleDigestError, match=r"tokens\.txt has SHA-256"):
        pull(str(source), home, PullOptions())
    assert contents(home) == []


def test_an_archive_without_a_bundle_is_refused(tmp_path: Path, home: Path) -> None:
    """Some other zip file."""
    source = archive_of(tmp_path / "other.zip", {"readme.txt": b"hello"})
    with pytest.raises(BundleError, match=r"expected one bundle\.json in the archive, found 0"):
        pull(str(source), home, PullOptions())


@pytest.mark.parametrize("name", ["../out", ".hidden", "a/b", ""])
def test_a_name_cannot_lead_out(tmp_path: Path, home: Path, name: str) -> None:
    """Neither one that is asked for, nor the one in the archive."""
    source = archive_of(tmp_path / "evil.zip", bundle_files(name))
    with pytest.raises(OptionError, match="is no name for a model"):
        pull(str(source), home, PullOptions())
    with pytest.raises(OptionError, match="is no name for a model"):
        pull(str(source), home, PullOptions(name=name))


def test_an_installed_model_is_kept_unless_forced(archive: Path, home: Path) -> None:
    """A second pull is refused; with force it replaces all of the folder."""
    pull(str(archive), home, PullOptions())
    (home / "tiny" / "old").write_text("")
    with pytest.raises(OptionError, match="is installed already"):
        pull(str(archive), home, PullOptions())
    assert (home / "tiny" / "old").exists()
    pull(str(archive), home, PullOptions(force=True))
    assert contents(home / "tiny") == ["bundle.json", "lexicon.txt", "model.onnx", "tokens.txt"]


def test_models_on_the_command_line(archive: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pull, list, verify and info of one model, each on stdout."""
    identity = f"tiny@{hashlib.sha256(bundle_files()['bundle.json']).hexdigest()[:12]}"
    assert main(["models", "pull", str(archive)]) == 0
    assert capsys.readouterr().out == f"{identity} installed in {home / 'tiny'}\n"
    assert main(["models", "verify", "tiny"]) == 0
    assert capsys.readouterr().out == f"{identity}: 3 files as recorded in {home / 'tiny'}\n"
    assert main(["models", "list", "--json"]) == 0
    row = next(row for row in json.loads(capsys.readouterr().out) if row["name"] == "tiny")
    assert row == {
        "name": "tiny",
        "size_bytes": sum(map(len, bundle_files().values())),
        "place": str(home / "tiny"),
        "version": identity.removeprefix("tiny@"),
        "language": "en",
        "wer": 0.25,
    }
    assert main(["models", "list"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("tiny"))
    assert line.split() == ["tiny", row["version"], "0.0", "MB", "WER", "25.0%", str(home / "tiny")]
    assert main(["models", "info", "tiny"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"model       {identity}"
    assert lines[-1].split() == ["set=quiet", "12.5", "%"]
    assert main(["models", "info", "tiny", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "tiny"


def indexed(tmp_path: Path, archive: Path, **changes: object) -> Path:
    """An index that has ``tiny``, beside the archive."""
    values = {
        "url": archive.name,
        "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
        "size": archive.stat().st_size,
        "licence": "Apache-2.0",
        "languages": ["en", "de"],
    } | changes
    index = tmp_path / "models.toml"
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items() if value is not None]
    index.write_text("\n".join(["[models.small]", *lines]), encoding="utf-8")
    return index


def test_a_name_is_looked_up_in_the_index(
    tmp_path: Path, archive: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The archive lies where the index says, and is installed under the name that was asked for."""
    index = indexed(tmp_path, archive)
    assert main(["models", "list", "--available", "--index", str(index)]) == 0
    assert capsys.readouterr().out.split() == ["small", "0.0", "MB", "en,de", "Apache-2.0"]
    assert main(["models", "pull", "small", "--index", str(index)]) == 0
    assert contents(home) == ["small"]
    assert main(["models", "pull", "large", "--index", str(index)]) == 2
    assert "'large' is no file, and no model in" in capsys.readouterr().err


def test_the_index_is_found_by_the_environment_or_beside_the_models(
    tmp_path: Path,
    archive: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without either, the message says what to do."""
    assert main(["models", "pull", "small"]) == 2
    assert "set VOICESEARCH_MODEL_INDEX or write" in capsys.readouterr().err
    monkeypatch.setenv("VOICESEARCH_MODEL_INDEX", str(indexed(tmp_path, archive)))
    assert main(["models", "pull", "small"]) == 0
    monkeypatch.delenv("VOICESEARCH_MODEL_INDEX")
    indexed(home, archive, url=str(archive))
    assert main(["models", "list", "--available", "--json"]) == 0
    out = capsys.readouterr().out
    assert json.loads(out[out.index("[") :])[0]["name"] == "small"


def test_an_index_over_http_leads_to_the_archive_beside_it(
    tmp_path: Path, address: str, archive: Path, home: Path
) -> None:
    """Relative addresses are as seen from the index; the digest in it makes plain http good enough."""
    indexed(tmp_path, archive)
    place = address.replace("tiny.zip", "models.toml")
    assert main(["models", "pull", "small", "--index", place]) == 0
    assert contents(home) == ["small"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": None}, "lacks 'sha256'"),
        ({"sha256": "12"}, "64 hexadecimal digits"),
        ({"url": 3}, "url must be text"),
        ({"size": "big"}, "expected a number of bytes"),
        ({"size": True}, "expected a number of bytes"),
        ({"languages": "en"}, "expected a list of codes"),
        ({"licence": 5}, "licence is 5; expected one line of text"),
        ({"licence": "free\x1b[2J"}, "expected one line of text"),
    ],
)
def test_a_senseless_index_is_refused(
    tmp_path: Path, archive: Path, changes: dict[str, object], message: str
) -> None:
    """With its place and what is wrong with it."""
    with pytest.raises(OptionError, match=message):
        model_index.read(str(indexed(tmp_path, archive, **changes)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe", "is no index of models: .*can't decode"),
        (b"#" * 1_000_001, "is no index of models: it is larger than 1000000 bytes"),
        (b"models = 3", "is no index of models"),
        (b'[models."../evil"]\nurl = "x"\nsha256 = "0"', r"'\.\./evil' is no name for a model"),
        (b'[models."evil\\u001b"]\nurl = "x"\nsha256 = "0"', "is no name for a model"),
    ],
)
def test_what_is_no_index_is_refused(
    tmp_path: Path, content: bytes, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line on the terminal, whatever the file holds."""
    (tmp_path / "models.toml").write_bytes(content)
    assert main(["models", "list", "--available", "--index", str(tmp_path / "models.toml")]) == 2
    captured = capsys.readouterr()
    assert re.search(message, captured.err)
    assert captured.err.count("\n") == 1


@pytest.mark.usefixtures("home")
def test_a_file_that_is_missing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Without an index nobody can tell a typing error from a name: both are said."""
    assert main(["models", "pull", "typo.zip"]) == 2
    said = capsys.readouterr().err
    assert "'typo.zip' is no file" in said
    assert "--index" in said
    assert main(["models", "list", "--available"]) == 2
    assert "no index of models: give --index" in capsys.readouterr().err


def test_an_index_over_plain_http_from_elsewhere_is_refused() -> None:
    """Whoever is on the way could put in digests of models of their own."""
    with pytest.raises(OptionError, match="only https can be trusted"):
        model_index.read("http://models.example/models.toml")


def test_an_archive_of_another_size_than_the_index_says_is_refused(
    tmp_path: Path, address: str, archive: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before any of it comes; nothing is kept."""
    index = indexed(tmp_path, archive, url=address, size=17)
    assert main(["models", "pull", "small", "--index", str(index)]) == 2
    assert f"has {archive.stat().st_size} bytes; 17 were expected" in capsys.readouterr().err
    assert contents(home) == []


def test_models_that_are_damaged_or_absent_are_named(
    archive: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``verify`` goes on after a failure and exits 1; ``list`` shows what is broken; ``info`` exits 2."""
    main(["models", "pull", str(archive)])
    (home / "tiny" / "model.onnx").write_bytes(b"changed")
    (home / "broken").mkdir()
    (home / "broken" / "bundle.json").write_text("{}")
    capsys.readouterr()
    assert main(["models", "verify", "absent", "tiny"]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert [line.split(":")[:2] for line in errors] == [
        ["absent", " BundleError"],
        ["tiny", " BundleDigestError"],
    ]
    assert main(["models", "list"]) == 1
    assert "broken                unusable: " in capsys.readouterr().out
    assert main(["models", "info", "absent"]) == 2
    assert capsys.readouterr().err.startswith("voicesearch: no model bundle 'absent'")
