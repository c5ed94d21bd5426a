"""wav2vec 2.0 and HuBERT, as torchaudio's pipelines have them, as networks of ours: waveforms in, letters out.

``WAV2VEC2_ASR_BASE_960H`` in; a module with the interface of `asr.train.model.AcousticModel` out. A clip in a batch
gets what it would get alone: torchaudio's own first norm runs over the padding too.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
import torchaudio
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torchaudio.models import Wav2Vec2Model, wav2vec2_model
from torchaudio.pipelines import Wav2Vec2ASRBundle
from tqdm import tqdm

from asr.download import Wanted, downloaded
from asr.errors import DownloadError, OptionError
from asr.pull import DOWNLOADS
from asr.train.lexicon import TOKENS
from asr.transcript import SAMPLE_RATE_HZ

PREFIX = "torchaudio:"
ADDRESS = "https://download.pytorch.org/torchaudio/models"
WEIGHTS_MAX_BYTES = 4_000_000_000  # HUBERT_ASR_XLARGE has 962,000,000 numbers of 4 bytes
SEPARATOR = "|"
BLANK_TOKEN = TOKENS[0]
LICENCE = re.compile(r"under\s+(?:the\s+)?(?:`)?([A-Z][\w .-]*?License|CC BY-NC 4\.0)", re.DOTALL)
LANGUAGE = re.compile(r"VOXPOPULI_ASR_\w+_(DE|EN|ES|FR|IT)$")
NEVER = -1e4  # added to what attention must not look at, as torchaudio does
AUX = ("aux.weight", "aux.bias")


@dataclass(frozen=True, slots=True)
class Source:
    """A pipeline: its architecture, what its outputs mean, and whose it is."""

    name: str
    pipeline: Wav2Vec2ASRBundle
    tokens: tuple[str, ...]
    frame_samples: int
    language: str
    licence: str

    @classmethod
    def named(cls, text: str) -> Source:
        """For ``torchaudio:NAME``. Raises OptionError for what is no such pipeline."""
        name = text.removeprefix(PREFIX)
        known = pipelines()
        if not text.startswith(PREFIX) or name not in known:
            raise OptionError(f"{text!r}: expected {PREFIX}NAME with one of {', '.join(sorted(known))}")
        pipeline = known[name]
        letters = tuple(label.lower() for label in pipeline.get_labels()[1:])
        assert len(set(letters)) == len(letters), letters
        assert pipeline.sample_rate == SAMPLE_RATE_HZ, pipeline.sample_rate
        language = LANGUAGE.search(name)
        licence = LICENCE.search(pipeline.__doc__ or "")
        return cls(
            name=name,
            pipeline=pipeline,
            tokens=(BLANK_TOKEN, *letters),
            frame_samples=prod(stride for _, _, stride in _params(pipeline)["extractor_conv_layer_config"]),
            language=language.group(1).lower() if language else "en",
            licence=" ".join(licence.group(1).split())
            if licence
            else f"see torchaudio.pipelines.{name}.__doc__",
        )

    def build(self) -> Wav2Vec2Model:
        """The architecture with random weights."""
        return wav2vec2_model(**_params(self.pipeline))

    def download(self) -> Path:
        """Its weights, in torch's own cache, where other programs find them too; downloaded if they are not there.

        Raises DownloadError, BundleError for more than ``WEIGHTS_MAX_BYTES``, OptionError while another process
        downloads them or where https leads away from it.
        """
        file: str = self.pipeline._path
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        path = folder / file
        if path.exists():
            return path
        wanted = Wanted(f"{ADDRESS}/{file}", WEIGHTS_MAX_BYTES)
        with tqdm(unit="B", unit_scale=True, file=sys.stderr, disable=not sys.stderr.isatty()) as bar:

            def advance(done: int, total: int | None) -> None:
                bar.total = total
                bar.update(done - bar.n)

            try:
                with downloaded(wanted, folder / DOWNLOADS, advance) as whole:
                    whole.replace(path)
            except DownloadError as error:
                raise DownloadError(f"{error}: --weights FILE") from error
        return path

    def load(self, weights: Path) -> SpellingModel:
        """With the weights of a file. Raises OptionError for those that do not fit, OSError."""
        model = self.build()
        state = dict(_of_file(weights))
        _drop_unused_outputs(state, self.pipeline)
        try:
            model.load_state_dict(state)
        except RuntimeError as error:
            raise OptionError(f"{weights} holds weights of another network: {_short(error)}") from error
        return SpellingModel(model, normalise=self.pipeline._normalize_waveform)


def pipelines() -> dict[str, Wav2Vec2ASRBundle]:
    """Those that write words, by name: not that of forced alignment, whose labels have no separator."""
    found = {name: getattr(torchaudio.pipelines, name) for name in dir(torchaudio.pipelines)}
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, Wav2Vec2ASRBundle) and SEPARATOR in value.get_labels()
    }


class SpellingModel(nn.Module):
    """A `Wav2Vec2Model` with masks where it has none, without its training-time weight norm."""

    def __init__(self, model: Wav2Vec2Model, *, normalise: bool) -> None:
        super().__init__()
        self.normalise = normalise
        self.layers = model.feature_extractor.conv_layers
        self.projection = model.encoder.feature_projection
        self.transformer = model.encoder.transformer
        self.aux = model.aux
        position = self.transformer.pos_conv_embed.conv
        if parametrize.is_parametrized(position, "weight"):
            parametrize.remove_parametrizations(position, "weight")
        self.eval()

    def forward(self, audio: Tensor, audio_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """``(batch, samples)`` and their counts to log-probabilities ``(batch, frames, tokens)`` and their counts."""
        lengths = audio_lengths
        x = audio.unsqueeze(1)
        if self.normalise:
            x = _standardised(x, lengths, 1e-5)
        for layer in self.layers:
            x = layer.conv(x)
            lengths = torch.div(lengths - layer.kernel_size, layer.stride, rounding_mode="floor") + 1
            norm = layer.layer_norm
            if isinstance(norm, nn.GroupNorm):  # a group a channel: over time alone
                x = _standardised(x, lengths, norm.eps) * norm.weight[:, None] + norm.bias[:, None]
            elif norm is not None:
                x = norm(x)
            x = nn.functional.gelu(x)
        x = self.projection(x.transpose(1, 2))
        inside = _inside(x.shape[1], lengths)
        x = x * inside[:, :, None]
        mask = (NEVER * (1.0 - inside))[:, None, None, :].expand(-1, 1, x.shape[1], -1)
        x = self.transformer(x, attention_mask=mask)
        return torch.log_softmax(self.aux(x), dim=-1), lengths


def _inside(frames: int, lengths: Tensor) -> Tensor:
    """1 for frames that are, 0 for padding: ``(batch, frames)``."""
    return (torch.arange(frames, device=lengths.device)[None] < lengths[:, None]).to(torch.float32)


def _standardised(x: Tensor, lengths: Tensor, eps: float) -> Tensor:
    """Mean 0 and variance 1 over the time of each channel, ``(batch, channels, time)``, padding left out."""
    inside = _inside(x.shape[2], lengths)[:, None]
    count = lengths.to(x.dtype)[:, None, None]
    centred = (x - (x * inside).sum(dim=2, keepdim=True) / count) * inside
    variance = (centred * centred).sum(dim=2, keepdim=True) / count
    return centred * torch.rsqrt(variance + eps)


def _params(pipeline: Wav2Vec2ASRBundle) -> Mapping[str, Any]:
    """torchaudio offers them under this name alone; its version is pinned."""
    params: Mapping[str, Any] = pipeline._params
    return params


def _of_file(path: Path) -> Mapping[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # pickle's, zip's, torch's: none has a root
        raise OptionError(
            f"{path} is no state of a network that torch reads: {_short(error)}. Where its "
            "download was cut off, remove it"
        ) from error
    if not isinstance(state, Mapping):
        raise OptionError(f"{path} holds a {type(state).__name__}; a state (weights by name) was expected")
    return state


def _drop_unused_outputs(state: dict[str, Tensor], pipeline: Wav2Vec2ASRBundle) -> None:
    """fairseq's dictionaries begin with symbols that no training used; published weights still have them."""
    for name in AUX:
        rows = state.get(name)
        if rows is not None and len(rows) == len(pipeline.get_labels()) + len(pipeline._remove_aux_axis):
            kept = [at for at in range(len(rows)) if at not in pipeline._remove_aux_axis]
            state[name] = rows[kept]


def _short(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) or type(error).__name__
