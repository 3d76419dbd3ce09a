"""A hand at the real window: real mouse and key events, and the time until the canvas has drawn what they caused.

``bench window`` starts these programs; nothing of the product needs them at run time.
"""

from __future__ import annotations
