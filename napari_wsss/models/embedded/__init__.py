"""The promptable segmenter that ships with the product: its network, and the predictor over it."""
