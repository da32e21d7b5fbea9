"""What the platform says of itself: its API reference, and that it is there."""
