"""What people look at: the page, the pipeline side by side, and what moved first."""
