"""Whether what comes in or goes out differs from a frozen reference, beyond chance, and what that means in words."""
