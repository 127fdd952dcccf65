"""Values for the whole app. This layer imports no SDK, no HTTP library and no settings."""
