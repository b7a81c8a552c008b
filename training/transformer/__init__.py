"""The Transformers4Rec model: building, training, checkpoints, export."""
