"""Sequence models of Transformers4Rec, transformer and GRU4Rec: training, checkpoints, export."""
