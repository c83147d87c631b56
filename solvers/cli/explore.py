"""`rdp explore`: an interactive page."""

from __future__ import annotations

from typing import Annotated

import typer


def explore(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8421,
    host: Annotated[
        str, typer.Option(help="Address to listen on; any but the loopback is open to others.")
    ] = "127.0.0.1",
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")
    ] = True,
) -> None:
    r"""Serve an interactive page on this machine: each control redraws the tradeoffs at once.

    It needs the extra explore: pip install '.\[explore]'
    """
    from rdp._busy import rest
    from solvers.explore.app import Server
    from solvers.methods.waiting import compiling_beside

    server = Server(host, port)
    with compiling_beside():
        typer.echo(f"{server.url} (Ctrl-C stops it)", err=True)
        rest()
        if browser:
            import webbrowser

            webbrowser.open(server.url)
        server.wait()
