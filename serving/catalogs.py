"""What can be searched: catalogues by name or file, their items, and the decoder's catalogue made of them.

A catalogue is a file of JSON lines as `asr.catalog_build` reads them. Beside ``books.jsonl`` there may be
``books.carriers.txt``, the sentences in which people ask for its items, and ``books.pronunciations.txt``, words that
the model's lexicon has otherwise. Shipped ones are found by name; a file of one's own by its path.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asr import catalog_build
from asr.catalog_build import Carrier
from asr.errors import OptionError

_SUFFIX = ".jsonl"

FacetValue = str | int | float


@dataclass(frozen=True, slots=True)
class Item:
    """Something that can be found, as people write it; ``spoken`` is how the decoder knows it."""

    id: str
    title: str
    aliases: tuple[str, ...] = ()
    facets: Mapping[str, tuple[FacetValue, ...]] = field(default_factory=dict)
    popularity: float = 1.0

    @property
    def spoken(self) -> catalog_build.Item:
        """Names and facets as words."""
        return catalog_build.item(self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """The public JSON, and a row of a catalogue. A facet always has a list of values."""
        return {
            "id": self.id,
            "title": self.title,
            "aliases": list(self.aliases),
            "facets": {name: list(values) for name, values in self.facets.items()},
            "popularity": self.popularity,
        }


@dataclass(frozen=True, slots=True)
class Catalog:
    """A file of items and what stands beside it."""

    path: Path

    @property
    def carriers(self) -> tuple[Carrier, ...]:
        """Its own carriers, else those that `asr.catalog_build` knows."""
        own = self.path.with_suffix(".carriers.txt")
        if own.exists():
            return tuple(catalog_build.read_carriers(own))
        return tuple(catalog_build.carrier(text) for text in catalog_build.DEFAULT_CARRIERS)

    @property
    def pronunciations(self) -> str:
        """Lines of a lexicon; empty where it brings none."""
        own = self.path.with_suffix(".pronunciations.txt")
        return own.read_text(encoding="utf-8") if own.exists() else ""

    def items(self) -> list[Item]:
        """Its items. Raises OptionError naming a line that is none."""
        return catalog_build.read_rows(self.path, _item)


def shipped() -> Path:
    """The folder of the catalogues that come with voicesearch: the repository's, else the installation's."""
    repository = Path(__file__).parents[1] / "data" / "catalog"
    if repository.is_dir():
        return repository
    return Path(sysconfig.get_path("data")) / "share" / "voicesearch" / "catalog"


def names() -> tuple[str, ...]:
    """Names of the shipped catalogues."""
    return tuple(sorted(path.name.removesuffix(_SUFFIX) for path in shipped().glob(f"*{_SUFFIX}")))


def find(name: str) -> Catalog:
    """A shipped catalogue by its name, or a file. Raises OptionError where there is neither."""
    if name in names():
        return Catalog(shipped() / f"{name}{_SUFFIX}")
    path = Path(name)
    if not path.is_file():
        raise OptionError(
            f"no catalogue {name!r}: it is no file, and {', '.join(names()) or 'none'} came with voicesearch"
        )
    return Catalog(path)


def read(catalogs: Sequence[Catalog]) -> tuple[Item, ...]:
    """The items of all, in order. Raises OptionError where two have one id, naming both."""
    found: dict[str, tuple[Item, Path]] = {}
    for catalog in catalogs:
        for item in catalog.items():
            if item.id in found:
                other, path = found[item.id]
                raise OptionError(
                    f"two items have the id {item.id!r}: {other.title!r} in {path} and {item.title!r} in "
                    f"{catalog.path}; ids must be unique over all catalogues that are searched together"
                )
            found[item.id] = item, catalog.path
    return tuple(item for item, _ in found.values())


def _item(values: dict[str, Any]) -> Item:
    checked = catalog_build.item(values)  # raises for what the decoder could not read either
    facets = values.get("facets", {})
    return Item(
        checked.id,
        str(values["title"]),
        tuple(str(alias) for alias in _list(values.get("aliases", []))),
        {str(name): tuple(_list(given)) for name, given in facets.items()},
        checked.popularity,
    )


def _list(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else [value]
