"""From files, arrays and built-in sets to rows of uint8: opened, scanned, split by content."""
