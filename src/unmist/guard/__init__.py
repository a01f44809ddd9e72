"""What guards publishing: detectors, gate, marks, credentials, ledger (slide 14)."""
