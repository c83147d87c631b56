"""Networks that code, and their bytes."""
