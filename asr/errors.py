"""Every error that the runtime raises on purpose.

    AsrError
    ├── AudioError (ValueError)          the clip is at fault
    │   ├── UnsupportedAudioError            not audio, or a format that we do not read
    │   ├── CorruptAudioError                looked like audio, could not be decoded
    │   └── AudioLimitError                  readable, but over a stated limit
    ├── BundleError (ValueError)         the model folder is at fault
    │   └── BundleDigestError                a file differs from its recorded SHA-256
    ├── CatalogError (ValueError)        the catalogue folder is at fault
    │   └── CatalogDigestError               a file differs from its recorded SHA-256
    ├── DeviceError (RuntimeError)       the execution provider asked for is absent
    ├── DownloadError (ConnectionError)  an address could not be fetched
    ├── MissingPackageError (ImportError) an optional package is needed and not installed
    ├── OptionError (ValueError)         an option's value makes no sense
    └── WorkerError (RuntimeError)       a process of a batch died

Each also inherits the builtin that callers would expect, so ``except ValueError`` works as well.
A message names the value seen, what was expected, and what to do.
"""

from __future__ import annotations


class AsrError(Exception):
    """Root of all errors raised on purpose by ``asr``."""


class AudioError(AsrError, ValueError):
    """The clip is at fault."""


class UnsupportedAudioError(AudioError):
    """The bytes are not audio, or are audio in a format that we do not read."""


class CorruptAudioError(AudioError):
    """The bytes look like audio but cannot be decoded, or hold NaN or infinite samples."""


class AudioLimitError(AudioError):
    """The clip is readable but exceeds a limit (duration, channels, sample rate, bytes)."""


class BundleError(AsrError, ValueError):
    """A model bundle is incomplete, malformed, or of an unknown format version."""


class BundleDigestError(BundleError):
    """A file of a bundle does not have the SHA-256 that ``bundle.json`` records."""


class CatalogError(AsrError, ValueError):
    """A catalogue folder is incomplete, malformed, or for other tokens than the model has."""


class CatalogDigestError(CatalogError):
    """A file of a catalogue does not have the SHA-256 that ``catalog.json`` records."""


class DeviceError(AsrError, RuntimeError):
    """The execution provider asked for is not available here."""


class DownloadError(AsrError, ConnectionError):
    """An address could not be fetched: no network, a refusal, or a connection that broke off."""


class MissingPackageError(AsrError, ImportError):
    """An optional package is needed for what was asked and is not installed."""


class OptionError(AsrError, ValueError):
    """An option's value is out of range or contradicts another."""


class WorkerError(AsrError, RuntimeError):
    """A process of a batch died: at a clip, twice, or before it had loaded the model."""
