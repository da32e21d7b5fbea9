"""A cloud on one's own machine: the emulator, started, mended, deployed to and stopped."""
