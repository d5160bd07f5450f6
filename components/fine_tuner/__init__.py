"""FineTuner: trains the phases and gives out the model, its frozen-only baseline, and the training record."""
