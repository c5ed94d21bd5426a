"""The decoder's catalogue of what can be searched, made once and kept in a folder under the digest of its making.

Several processes may ask at the same time: each builds into a folder of its own and the first to finish gives it
its name, so that a name always is a whole catalogue.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from asr import bundle, catalog, catalog_build
from asr.catalog import DEFAULT_WEIGHT
from asr.catalog_build import Carrier
from asr.digest import file_digest
from asr.errors import CatalogError
from asr.pronounce import pronouncer
from serving import catalogs
from serving.catalogs import Catalog


def default_cache() -> Path:
    """Where made catalogues are kept unless somebody says otherwise: the user's cache folder (XDG)."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "voicesearch" / "catalogs"


def prepare(
    sources: Sequence[Catalog],
    model: str | Path = bundle.DEFAULT_MODEL,
    cache: Path | None = None,
    weight: float = DEFAULT_WEIGHT,
) -> Path:
    """The folder to give to `Transcriber.load` as ``catalog``; built if the cache has it not, which takes seconds.

    ``weight`` is the probability that a clip asks for an item. Raises OptionError for what cannot be read or
    pronounced, BundleError for the model.
    """
    cache = default_cache() if cache is None else cache
    catalogs.read(sources)  # their ids must differ
    items, carriers = [], []
    for source in sources:  # as likely as each other, however many items and carriers they have
        own = [item.spoken for item in source.items()]
        total = sum(item.popularity for item in own)
        items += [replace(item, popularity=item.popularity / total) for item in own]
        total = sum(carrier.weight for carrier in source.carriers)
        carriers += [Carrier(carrier.text, carrier.weight / total) for carrier in source.carriers]
    pronunciations = "\n".join(source.pronunciations for source in sources)
    folder = bundle.find(model)
    info = bundle.read(folder)
    tokens = tuple((folder / "tokens.txt").read_text(encoding="utf-8").split())
    made_of = {
        "format": catalog.FORMAT,
        "items": [(item.id, item.names, sorted(item.facets.items()), item.popularity) for item in items],
        "carriers": [(carrier.text, carrier.weight) for carrier in carriers],
        "pronunciations": pronunciations,
        "weight": weight,
        # The words' phones come from these, and the columns from the tokens.
        "model": [
            file_digest(folder / name)
            for name in ("tokens.txt", info.decoder.lexicon, info.decoder.g2p)
            if name is not None
        ],
    }
    final = cache / hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:32]
    if _whole(final):
        return final
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="building-", dir=cache) as place:
        extra = Path(place) / "pronunciations.txt"
        extra.write_text(pronunciations, encoding="utf-8")
        contents = catalog_build.build(items, carriers, tokens, pronouncer(folder, info, extra), weight)
        built = catalog.write(Path(place) / "catalog", contents).folder
        try:
            built.rename(final)
        except OSError:  # another process was faster, and its catalogue is the same
            if not _whole(final):
                raise
    return final


def _whole(folder: Path) -> bool:
    """Whether the folder is a catalogue. A damaged one is removed: a file may have been lost to a full disk."""
    if not folder.exists():
        return False
    try:
        catalog.read(folder)
    except CatalogError:
        shutil.rmtree(folder)
        return False
    return True
