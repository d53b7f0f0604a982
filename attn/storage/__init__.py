"""Stores of rows per frame, on disk or on S3: filesystems, parts, manifest, what is done."""
