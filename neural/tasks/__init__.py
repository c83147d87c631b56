"""What is coded: data, networks and measurement of one kind of source."""
