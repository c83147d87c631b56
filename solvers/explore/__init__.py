"""`rdp explore`: an interactive page on this machine. Needs the extra `explore`."""
