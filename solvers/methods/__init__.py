"""The methods that solve a problem, one module each."""
