"""What is done about failures: treatments by class, breakers, and the plan of attempts."""
