"""What the project's real inputs are made with, from their full sources; run by hand when a source changes."""
