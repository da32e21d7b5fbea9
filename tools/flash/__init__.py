"""A flash sale: many buyers at once for few units of one SKU, and what must hold (``docs/operations/flash.md``)."""
