"""Decoding with a catalogue: an exact mixture of two language models over whole sentences.

    P(W) = (1 - w) P_general(W) + w P_catalogue(W)

In: log-probabilities, as ``asr.decode``. Out: hypotheses, best first. Two searches run over the same
log-probabilities, one with each lexicon and model; their n best are joined and every reading is scored with
the mixture, whichever search found it. So what can be searched for is preferred, and what cannot is still
transcribed. After Kneser & Steinbiss (1993), "On the dynamic adaptation of stochastic language models", with
sentences in the place of words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from asr import catalog
from asr.catalog import Catalog
from asr.decode import BeamDecoder, DecoderOptions, Hypothesis
from asr.rows import LogProbs

# The catalogue's search knows few words, which it may look for under sounds that hardly seem to be there, blanks too.
_BEAM_SIZE, _BEAM_THRESHOLD, _MIN_POSTERIOR, _N_BEST = 300, 30.0, 1e-6, 20


class MixtureDecoder:
    """Two beam searches as one decoder. Not safe for use from several threads at once.

    ``options`` are those of ``general``: both searches must weigh the sounds against the words alike.
    """

    def __init__(
        self, general: BeamDecoder, special: BeamDecoder, weight: float, options: DecoderOptions
    ) -> None:
        self._general = general
        self._special = special
        self._options = options
        self._weight = catalog.check_weight(weight)

    def decode(self, log_probs: LogProbs) -> list[Hypothesis]:
        """Up to ``n_best`` different readings, best first; empty where the general search finds no words."""
        # Where every word of the language has been tried and silence is likelier, nobody asked for an item.
        heard = self._general.decode(log_probs)
        if not heard:
            return []
        found: dict[str, tuple[float, Hypothesis]] = {}
        for model, readings in ((self._general, heard), (self._special, self._special.decode(log_probs))):
            for hypothesis in readings:
                own = self._options.lm_weight * model.log_probability(_texts(hypothesis))
                # What is left holds the word scores too, which both searches add alike, and what hotwords earn,
                # of which the catalogue's search knows nothing: so the better of two finds counts.
                sound = hypothesis.score - own
                if hypothesis.text not in found or sound > found[hypothesis.text][0]:
                    found[hypothesis.text] = sound, hypothesis
        scored = [
            (sound + self._options.lm_weight * self.log_probability(_texts(hypothesis)), hypothesis)
            for sound, hypothesis in found.values()
        ]
        scored.sort(key=lambda reading: -reading[0])
        scored = scored[: self._options.n_best]
        total = float(np.logaddexp.reduce([score for score, _ in scored])) if scored else 0.0
        return [
            replace(hypothesis, score=score, posterior=math.exp(score - total))
            for score, hypothesis in scored
        ]

    def log_probability(self, words: Sequence[str]) -> float:
        """Natural logarithm of the mixture's probability of a sentence; -inf where no model has its words."""
        general, special = self._general.log_probability(words), self._special.log_probability(words)
        return float(np.logaddexp(math.log1p(-self._weight) + general, math.log(self._weight) + special))


def with_catalog(
    general: BeamDecoder, options: DecoderOptions, catalogue: Catalog, tokens: Sequence[str]
) -> MixtureDecoder:
    """``general``, which has ``options``, mixed with a catalogue. Raises CatalogError where the tokens differ."""
    special = catalog_decoder(catalogue, options, tokens, general.separator)
    return MixtureDecoder(general, special, catalogue.weight, options)


def catalog_decoder(
    catalogue: Catalog, options: DecoderOptions, tokens: Sequence[str], separator: int | None = None
) -> BeamDecoder:
    """The search for the catalogue's sentences alone, with the weights of ``options`` and wider beams."""
    wider = replace(
        options,
        beam_size=max(options.beam_size, _BEAM_SIZE),
        beam_size_token=len(tokens),
        beam_threshold=max(options.beam_threshold, _BEAM_THRESHOLD),
        min_posterior=min(options.min_posterior, _MIN_POSTERIOR),
        n_best=max(options.n_best, _N_BEST),
        skip_blanks=False,
    )
    return BeamDecoder(catalogue.lexicon(tokens), len(tokens), catalogue.lm, wider, separator=separator)


def _texts(hypothesis: Hypothesis) -> list[str]:
    return [word.text for word in hypothesis.words]
