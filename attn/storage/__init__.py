"""Stores with one row per frame, on disk or on S3: filesystems, parts, manifests and completed videos."""
