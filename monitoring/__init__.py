"""What was asked, what was answered, what people did next, and whether to worry. Never imports FastAPI."""
