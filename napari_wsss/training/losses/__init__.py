"""What the trainer minimises: one idea a file, pure functions of tensors.

Class ids in labels are 1..K and 0 is "nobody said"; logits have K planes, class k at plane k - 1.
"""
