"""The build: source -> records -> rules -> splits -> release."""
