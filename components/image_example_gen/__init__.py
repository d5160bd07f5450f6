"""ImageExampleGen: from class folders of photographs to examples, with an account of every refused file.

An example has the features `image` (the file's bytes, untouched), `label`, `path`, `content_sha256`, `format`,
`width_px`, `height_px` and `num_bytes`.
"""
