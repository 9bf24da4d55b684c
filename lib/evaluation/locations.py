"""The programs' options that say where a family's own files are, one for each that it declares."""

import argparse

from lib.models import location_options


def add_locations(parser: argparse.ArgumentParser, searchable: bool = False) -> None:
    """Add the options of every family, or of those that have vectors to search among."""
    for name, line in location_options(searchable).items():
        parser.add_argument(f"--{name}", help=line)


def locations_in(args: argparse.Namespace) -> dict[str, str]:
    """Setting -> the place that the command line gives for it."""
    given = {name: getattr(args, name, None) for name in location_options()}
    return {name: value for name, value in given.items() if value is not None}
