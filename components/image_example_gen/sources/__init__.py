"""Where photographs come from: class folders, manifests, records; in folders, archives and buckets; by span."""
