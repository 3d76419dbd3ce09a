"""``python -m napari_wsss``: the command line."""

from __future__ import annotations

import sys

from napari_wsss.cli import main

sys.exit(main())
