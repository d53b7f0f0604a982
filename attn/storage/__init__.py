"""The attention store on disk or on S3: filesystems, parts, manifest, what is done."""
