"""The run: credentials, then Git folders. `ports` has the interfaces to the services."""
