"""The command line: reads the settings, opens the engines, composes the services."""


def main() -> None:
    """The entry point `footfall`."""
    from footfall.cli.app import app

    app()
