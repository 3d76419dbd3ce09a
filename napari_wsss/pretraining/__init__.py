"""How the embedded model is trained: real masks that may be shipped, drawn scenes, and simulated clicks.

``python -m napari_wsss.pretraining --help``; docs/embedded-model.md tells the whole story. Nothing of the
product needs this room at run time.
"""
