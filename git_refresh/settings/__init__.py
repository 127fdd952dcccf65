"""App settings → typed settings, with every mistake in them named by its place."""
