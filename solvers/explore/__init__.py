"""`rdp explore`: an interactive page on this machine. It needs the extra `explore`."""
