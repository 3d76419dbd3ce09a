"""``label`` and ``accept``: what people say of images."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from napari_wsss.cli.options import add_images, box, existing
from napari_wsss.errors import UsageError, WsssError

FILES = {
    "tags": "CSV with the header image,tag; !tag = absent, !* = the image's list is complete",
    "points": "CSV with the header image,y,x,class[,z][,t]",
    "scribbles": "folder of STEM.png or STEM.tif, 0 = no stroke, k = class k",
    "boxes": "CSV with the header image,y0,x0,y1,x1,class[,fill]; fill 1 = every pixel is of the class",
    "vectors": "GeoJSON with a property class; reprojected to the images",
    "masks": "folder of STEM.png or STEM.tif, full masks, count as accepted",
    "instances": "folder of STEM.png or STEM.tif, object ids of the masks",
}


def add_commands(commands: Any) -> None:
    label = commands.add_parser("label", help="import weak labels or full masks")
    label.add_argument("project", type=Path, metavar="PROJECT")
    for name, text in FILES.items():
        label.add_argument(f"--{name}", type=existing, metavar="DIR" if "folder" in text else "FILE", help=text)
    label.add_argument("--skip-bad-rows", action="store_true", help="leave wrong rows out and say how many")
    label.set_defaults(run=_label)

    accept = commands.add_parser("accept", help="accept what a stage made as ground truth")
    accept.add_argument("project", type=Path, metavar="PROJECT")
    add_images(accept)
    accept.add_argument("--box", type=box, metavar="y0,x0,y1,x1", help="only this region (half open)")
    accept.add_argument(
        "--what", choices=("refined", "pseudo", "predicted"), default="refined", help="default: refined"
    )
    accept.set_defaults(run=_accept)


def _label(arguments: argparse.Namespace) -> int:
    from napari_wsss.labelling import import_labels
    from napari_wsss.project import Project

    files = {name: getattr(arguments, name) for name in FILES}
    with Project.open(arguments.project) as project:
        for found in import_labels(project, **files, skip_bad_rows=arguments.skip_bad_rows):
            left = f", {found.left_out} wrong rows left out" if found.left_out else ""
            news = f"labels of {found.images} images changed" if found.images else "nothing new"
            print(f"{found.kind} {found.source}: {news}{left}")
    return 0


def _accept(arguments: argparse.Namespace) -> int:
    from napari_wsss.pipeline import accept
    from napari_wsss.project import Project

    if arguments.box and not arguments.images:
        raise UsageError("--box needs --images: it is a region of one image")
    with Project.open(arguments.project) as project:
        accepted, lacking = accept(project, arguments.images, arguments.what, arguments.box)
    if not accepted:
        maker = "predict" if arguments.what == "predicted" else "run"
        raise WsssError(f"no image has a {arguments.what} mask to accept; run `napari-wsss {maker}` first")
    where = f" in box {','.join(map(str, arguments.box))}" if arguments.box else ""
    print(f"accepted {len(accepted)} {arguments.what} masks{where}")
    for name in lacking:
        print(f"{name}: no {arguments.what} mask, not accepted")
    return 0
