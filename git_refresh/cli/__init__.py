"""The command line, for laptops and pipelines. It is not deployed, and neither are its libraries."""
