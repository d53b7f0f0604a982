"""Reports: tables for logs and pages, and figures of attention maps. Only this package imports matplotlib."""
