"""What is coded: the data and the networks for one kind of source."""
