"""Stand-ins for services of the cloud, spoken to by the real client libraries over the loopback interface."""
