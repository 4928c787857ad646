"""What a network is trained for: targets with units, losses, metrics."""
