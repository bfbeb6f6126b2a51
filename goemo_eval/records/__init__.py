"""What is kept of a measurement: the record's schema, and the files that hold it."""
