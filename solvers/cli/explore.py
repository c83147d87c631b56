"""`rdp explore`: the interactive page."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to an application.

    Parameters
    ----------
    app : typer.Typer
        The application.
    """
    app.command("explore")(explore)


def explore(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8421,
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than this machine's are open to all.")
    ] = "127.0.0.1",
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")
    ] = True,
) -> None:
    r"""Serve a page on this machine where every control redraws the tradeoffs at once.

    Needs the extra explore: pip install '.\[explore]'
    """
    from solvers.explore.app import Server

    server = Server(host, port)
    typer.echo(f"{server.url} (Ctrl-C ends it)", err=True)
    if browser:
        import webbrowser

        webbrowser.open(server.url)
    server.wait()
