"""Schema and validation of what accompanies the images: labels, formats, sizes; never their bytes."""
