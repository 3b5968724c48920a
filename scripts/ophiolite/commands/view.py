"""Serve a project's results and open them in Neuroglancer, offline."""

from __future__ import annotations

import argparse
import os
import sys
import webbrowser
from pathlib import Path

from ophiolite.errors import ConfigError, LayerError, explain
from ophiolite.report.results import find_object, read_views, store_of_folder
from ophiolite.report.server import CLIENT_PAGE, ObjectName, ResultsServer
from ophiolite.report.viewer_state import VolumeView, viewer_link, viewer_state

LISTED = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("--results", type=Path, required=True, help="folder of one project, results/<project>")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: any free one)")
    parser.add_argument(
        "--bind",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on (default: %(default)s, this machine only; 0.0.0.0 shows the results to the network)",
    )
    parser.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="let pages of this origin read the results too, as https://neuroglancer-demo.appspot.com; repeatable",
    )
    parser.add_argument("--no-browser", action="store_true", help="print the link only")


def run(args: argparse.Namespace) -> None:
    """Serve until interrupted; prints one link, which opens every layer of the results."""
    folder: Path = args.results
    if not folder.is_dir():
        raise ConfigError(
            explain(
                f"--results {folder}",
                "there is no such folder",
                expected="the folder of one project, results/<project>",
                do="Run the workflow first, or correct the path",
            )
        )
    found = read_views(folder)  # so that an unfinished project ends here, not in the browser

    def link(base: str) -> str:
        return viewer_link(viewer_state(read_views(folder), base), base + CLIENT_PAGE)

    def object_link(base: str, name: ObjectName) -> str | None:
        views = read_views(folder)
        shown = find_object(folder, views, name.dataset, name.layer, name.label)
        return viewer_link(viewer_state(views, base, shown), base + CLIENT_PAGE) if shown else None

    def dataset_link(base: str, name: str) -> str | None:
        try:
            views = read_views(folder, dataset=name)
        except LayerError:
            return None
        return viewer_link(viewer_state(views, base), base + CLIENT_PAGE)

    bucket = store_of_folder(folder).bucket
    server = ResultsServer(
        folder,
        link,
        object_link,
        dataset_link,
        port=args.port,
        bind=args.bind,
        bucket=bucket,
        origins=args.allow_origin,
    )
    try:
        print(f"{server.url}/", flush=True)
        slides = sorted({view.dataset for view in found if isinstance(view, VolumeView) and view.flat})
        if len(slides) > 1:
            print(f"{len(slides)} slides, each at {server.url}/dataset?name=..: {_listed(slides)}", file=sys.stderr)
        print("Ctrl-C ends it.", file=sys.stderr)
        if not args.no_browser and _has_display():
            webbrowser.open(f"{server.url}/")
        server.serve_forever()
    except KeyboardInterrupt:
        print(file=sys.stderr)
    finally:
        server.close()


def _listed(names: list[str]) -> str:
    """The first names, and a sign that there are more."""
    return ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")


def _has_display() -> bool:
    """Whether a window can open; without one, `webbrowser` would start a text browser in this terminal."""
    if sys.platform != "linux":
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
