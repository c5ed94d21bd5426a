"""The verbs of the runtime, one a file. Each file has a ``COMMAND``; ``asr.cli`` gathers them."""
