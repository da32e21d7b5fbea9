"""Orders: taken, checked, and led from acceptance to completion."""
