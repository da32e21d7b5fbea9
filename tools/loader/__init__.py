"""Turns the project's sample of real invoices into requests to the platform. Knows no AWS and no HTTP."""

from tools.loader.sample import DATA, Fault, Order, Product, Sample, load_sample

__all__ = ["DATA", "Fault", "Order", "Product", "Sample", "load_sample"]
