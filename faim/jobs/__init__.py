"""Many inputs in turn: progress, and runs that go on where they were stopped."""
