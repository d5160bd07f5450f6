"""Which features statistics are computed on."""

# Statistics on image bytes would be slow and say nothing; on names of files and digests, all values differ.
FEATURES_WITHOUT_STATISTICS = ("image", "path", "content_sha256", "group")
