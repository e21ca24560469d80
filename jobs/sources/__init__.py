"""Read logs and records from files into `raw`."""
