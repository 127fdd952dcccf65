"""Values that are the same everywhere in the app. The layer imports no SDK, no HTTP library and no settings."""
