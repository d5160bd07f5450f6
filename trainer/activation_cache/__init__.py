"""Work on frozen layers is done once: what they make of each image is kept on disk, and training reads it there."""
