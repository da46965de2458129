"""The book's own tools: `python -m chapters._book COMMAND …`."""
import importlib
import sys

# command → module:function, imported only when called; the function takes the rest of the command line
COMMANDS = {
    "build": "chapters._book.build:main",
    "serve": "chapters._book.build:serve",
    "vendor": "chapters._book.vendor:main",
    "notebooks": "chapters._book.notebook:main",
    "results": "chapters._book.results:main",
    "pages": "chapters._book.pages:main",
    "pictures": "chapters._book.pictures:main",
    "scaffold": "chapters._book.scaffold:main",
}


def function(command: str):
    """Import the function that runs a command."""
    module, name = COMMANDS[command].split(":")
    return getattr(importlib.import_module(module), name)


def main(argv: list[str]) -> int:
    """Run one command; list them when none or an unknown one is named."""
    if argv and argv[0] in COMMANDS:
        return function(argv[0])(argv[1:]) or 0
    print("usage: python -m chapters._book COMMAND …\n")
    for command in COMMANDS:
        print(f"  {command:<13} {(function(command).__doc__ or '').partition(chr(10))[0]}")
    return 0 if argv and argv[0] in ("-h", "--help", "help") else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
