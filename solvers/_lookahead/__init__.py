"""Parts of the method "lookahead"."""
