"""Backups on demand, and tables restored from backups or to a moment: see ``docs/operations/recovery.md``."""
