"""Shipping: outbound slips in the warehouses, waybills, and parcels on their way."""
