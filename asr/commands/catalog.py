"""``voicesearch catalog {build,query}``: make the decoder expect what can be searched for, and see what it expects."""

from __future__ import annotations

import json
import math
from argparse import ArgumentParser, Namespace
from pathlib import Path

from asr import bundle, catalog, catalog_build, mixture
from asr.catalog import Catalog
from asr.commands.command import DONE, Command
from asr.decode import BeamDecoder
from asr.errors import OptionError
from asr.lexicon import read_lexicon
from asr.pronounce import pronouncer


def add_arguments(parser: ArgumentParser) -> None:
    """The two verbs about catalogues."""
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    make = verbs.add_parser("build", help="items to a lexicon and a language model")
    make.add_argument(
        "items",
        type=Path,
        metavar="ITEMS.jsonl",
        help="a row per item: id, title, aliases, facets, popularity",
    )
    make.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the catalogue")
    make.add_argument(
        "--model", default=bundle.DEFAULT_MODEL, help="it is for this one (default %(default)s)"
    )
    make.add_argument(
        "--carriers",
        type=Path,
        metavar="FILE",
        help="lines such as: find me {a} {colour} {title}; optional: a weight and a tab before",
    )
    make.add_argument(
        "--pronunciations", type=Path, metavar="FILE", help="lines such as: sweetener S W IY T N ER"
    )
    make.add_argument(
        "--weight",
        type=float,
        default=catalog.DEFAULT_WEIGHT,
        help="probability that a clip asks for an item (default %(default)s)",
    )
    make.set_defaults(run_catalog=run_build)
    query = verbs.add_parser("query", help="how probable a sentence is with and without the catalogue")
    query.add_argument("folder", type=Path, metavar="FOLDER", help="the catalogue")
    query.add_argument("text", metavar="TEXT", help="a sentence")
    query.add_argument("--model", default=bundle.DEFAULT_MODEL, help="default %(default)s")
    query.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    query.set_defaults(run_catalog=run_query)


def run(args: Namespace) -> int:
    """The verb asked for."""
    code: int = args.run_catalog(args)
    return code


def run_build(args: Namespace) -> int:
    """Build, write, and say what came out."""
    folder = bundle.find(args.model)
    info = bundle.read(folder)
    tokens = _tokens(folder)
    items = catalog_build.read_items(args.items)
    carriers = (
        [catalog_build.carrier(text) for text in catalog_build.DEFAULT_CARRIERS]
        if args.carriers is None
        else catalog_build.read_carriers(args.carriers)
    )
    pronounce = pronouncer(folder, info, args.pronunciations)
    weight = catalog.check_weight(args.weight)
    made = catalog.write(args.out, catalog_build.build(items, carriers, tokens, pronounce, weight))
    words = len({entry.word for entry in made.lexicon(tokens)})
    print(f"{made.folder}: {made.n_items} items, {made.n_sentences} sentences of {words} words")
    return DONE


def run_query(args: Namespace) -> int:
    """The probability of a sentence: of the catalogue, of the general language, and of both mixed."""
    catalogue = catalog.read(args.folder)
    text = catalog_build.spoken(args.text)
    if not text:
        raise OptionError(f"{args.text!r} has no words")
    scores = score(catalogue, args.model, text)
    if args.json:
        finite = {name: value if math.isfinite(value) else None for name, value in scores.items()}
        print(json.dumps({"text": text, "log10": finite}))
        return DONE
    print(f"{text!r}, log10 of the probability")
    for name, value in scores.items():
        print(
            f"  {name:10} {value:8.2f}" if math.isfinite(value) else f"  {name:10}        - (unknown words)"
        )
    return DONE


def score(catalogue: Catalog, model: str, text: str) -> dict[str, float]:
    """log10 of the probability of ``text`` under each model and the mixture; -inf where a word is unknown."""
    folder = bundle.find(model)
    settings = bundle.read(folder).decoder
    if settings.lm is None or settings.lexicon is None:
        raise OptionError(f"{model} has no language model to compare with")
    tokens = _tokens(folder)
    general = BeamDecoder(
        read_lexicon(folder / settings.lexicon, tokens), len(tokens), folder / settings.lm, settings.options
    )
    special = mixture.catalog_decoder(catalogue, settings.options, tokens)
    mixed = mixture.MixtureDecoder(general, special, catalogue.weight, settings.options)
    words = text.split()
    return {
        "catalogue": special.log_probability(words) / math.log(10.0),
        "general": general.log_probability(words) / math.log(10.0),
        "mixture": mixed.log_probability(words) / math.log(10.0),
    }


def _tokens(folder: Path) -> tuple[str, ...]:
    return tuple((folder / "tokens.txt").read_text(encoding="utf-8").split())


COMMAND = Command("catalog", "make the decoder expect what can be searched for", add_arguments, run)
