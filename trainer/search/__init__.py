"""Finding by trial what a phase leaves open: its learning rate, and how deep it unfreezes."""
