"""Nothing but recipes: each file has get_config(argument) -> ConfigDict."""
