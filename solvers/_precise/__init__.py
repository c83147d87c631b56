"""The method "precise": a barrier method in decimal arithmetic, for few frames."""
