"""One adapter a family; `dyto.models.families` is the table that names them."""
