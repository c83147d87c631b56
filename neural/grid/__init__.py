"""All stages and cells of several experiments within a time, in one call or a few."""
