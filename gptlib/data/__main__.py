"""`python -m gptlib.data`: fetch sources ahead of time, or list them."""
import argparse
import sys

from . import sources
from .download import DataError, folder, sha256_of


def main(argv: list[str] | None = None) -> int:
    """Fetch sources ahead of time, or list them."""
    parser = argparse.ArgumentParser(prog="python -m gptlib.data", description=main.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="every source, its size, and whether it is here")
    commands.add_parser("fetch", help="fetch these sources, or all").add_argument("names", nargs="*")
    arguments = parser.parse_args(argv)
    if arguments.command == "list":
        print(f"in {folder()}")
        for source in sources.SOURCES.values():
            state = "here" if sha256_of(folder() / source.file) == source.sha256 else "to fetch"
            print(f"{source.name:<14} {source.size / 1e6:>6.1f} MB  {state:<9} {source.title}")
        return 0
    try:
        for name in arguments.names or sources.SOURCES:
            sources.load(name)
            print(f"{name}: ready in {folder()}")
    except (DataError, ValueError) as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
