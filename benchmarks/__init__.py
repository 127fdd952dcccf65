"""What is promised of time and memory, measured; never deployed."""
