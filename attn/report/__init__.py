"""What people look at: tables for the log, pictures of attention. The only importer of matplotlib."""
