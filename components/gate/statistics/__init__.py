"""What the gate computes from predictions: numpy and scipy alone."""
