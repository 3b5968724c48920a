"""`python -m ophiolite <command> ...`: every step of the workflow, by hand."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys

from ophiolite import __version__, commands
from ophiolite.errors import OphioliteError
from ophiolite.stages.start import limit_threads


def command_names() -> list[str]:
    """Names of all commands."""
    return sorted(m.name for m in pkgutil.iter_modules(commands.__path__) if not m.name.startswith("_"))


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns 0 done, 1 an error of the user's to mend, 2 wrong usage, 130 interrupted."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help", "--version"):
        print(f"ophiolite {__version__}\n\nusage: python -m ophiolite <command> --help\n\ncommands:")
        print("\n".join(f"  {name}" for name in command_names()))
        return 0 if argv else 2
    if argv[0] not in command_names():
        print(f"ophiolite: no command {argv[0]!r}; see python -m ophiolite --help", file=sys.stderr)
        return 2
    limit_threads(argv)
    module = importlib.import_module(f"ophiolite.commands.{argv[0]}")
    parser = argparse.ArgumentParser(prog=f"python -m ophiolite {argv[0]}", description=module.__doc__)
    module.add_arguments(parser)
    try:
        module.run(parser.parse_args(argv[1:]))
    except OphioliteError as error:
        print(f"ophiolite {argv[0]}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
