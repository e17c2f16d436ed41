"""The recipes. Each file has get_config(argument) -> ConfigDict."""
