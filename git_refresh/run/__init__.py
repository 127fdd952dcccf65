"""The run: credentials, then Git folders. Decisions are pure; `ports` has the interfaces to services."""
