"""OpenAI's form of a transcription: what may be asked for, and how it is answered. No HTTP here: see the routes."""
