"""What platform teams do with their own sign-in: grants and OAuth secrets. Never deployed, and nothing that is deployed imports it."""
