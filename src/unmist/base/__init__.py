"""What everything rests on: faults, families, noise, files, machine."""
