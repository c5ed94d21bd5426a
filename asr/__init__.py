"""Speech recognition for voice search: the runtime that server, batch job and device share.

from asr import Transcriber

transcriber = Transcriber.load()
print(transcriber.transcribe("query.wav").text)
"""

from asr.errors import AsrError
from asr.stream import EndpointOptions, Stream
from asr.transcribe import Transcriber
from asr.transcript import NullReason, Transcript, Word

__all__ = ["AsrError", "EndpointOptions", "NullReason", "Stream", "Transcriber", "Transcript", "Word"]
