"""`ui`: a page in the user's browser."""

import webbrowser
from typing import Annotated

import typer

from lora_cli import options, output
from lora_cli.session import Session


def ui(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: any that is free.")] = 0,
    browser: Annotated[bool, typer.Option("--browser", help="Open the page, too.")] = False,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
    server: options.Server = None,
    api_key: options.ApiKey = None,
) -> None:
    """Serve a page on this machine: see, ask, weigh, blend, roll back; ends when interrupted."""
    # Other commands need not wait for a web server to be imported.
    from lora_cli.ui.server import serve

    def tell(address: str) -> None:
        output.say([address])
        output.note("only this address works, and only on this machine; Ctrl-C ends it")
        if browser:
            webbrowser.open(address)

    serve(Session.of(namespace, context, kubeconfig, server=server, api_key=api_key), port, tell)
