"""The ways in which clients write the language of a clip: ``en``, ``eng``, ``English``, ``en-US``, ``en_GB``."""

from __future__ import annotations

import re

# ISO 639-1: the name in English, as Whisper knows it, then ISO 639-2 and other names.
NAMES = {
    "de": ("german", "deu", "ger"),
    "en": ("english", "eng"),
    "es": ("spanish", "spa", "castilian"),
    "fr": ("french", "fra", "fre"),
    "hi": ("hindi", "hin"),
    "it": ("italian", "ita"),
    "ja": ("japanese", "jpn"),
    "ko": ("korean", "kor"),
    "nl": ("dutch", "nld", "dut", "flemish"),
    "pl": ("polish", "pol"),
    "pt": ("portuguese", "por"),
    "ru": ("russian", "rus"),
    "tr": ("turkish", "tur"),
    "uk": ("ukrainian", "ukr"),
    "zh": ("chinese", "zho", "chi", "mandarin"),
}
REGION = re.compile(r"[-_](?:[a-z]{2}|\d{3})")  # of BCP 47


def same(given: str, language: str) -> bool:
    """Whether ``given`` names ``language``, an ISO 639-1 code, in any of its spellings and with any region."""
    wanted = given.strip().lower()
    if wanted in (language, *NAMES.get(language, ())):
        return True
    return wanted.startswith(language) and REGION.fullmatch(wanted[len(language) :]) is not None


def name(language: str) -> str:
    """Its name in English, as ``verbose_json`` gives it; the code itself where we know no name."""
    return NAMES.get(language, (language,))[0]
