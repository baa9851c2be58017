"""Sizes of the four models, and of their batches."""

WIDTH, ROWS = 32, 32  # residual: x + b(relu(a(norm(x))))
IMAGES, SIDE, CHANNELS, CLASSES = 16, 16, (8, 16, 16), 10
TEXTS, TOKENS, VOCABULARY, FEATURES, HEADS, BLOCKS = 4, 16, 64, 32, 2, 2
