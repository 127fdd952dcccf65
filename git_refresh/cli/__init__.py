"""The command line, for laptops and pipelines. Not deployed, and so free to use libraries that are not either."""
