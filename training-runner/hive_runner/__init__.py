"""What runs inside the sandbox: reads the spec, runs a recipe, writes the result. Imports nothing from hive."""
