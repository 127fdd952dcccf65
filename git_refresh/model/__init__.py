"""Values for the whole app. This layer does not import SDKs, HTTP libraries or the settings."""
