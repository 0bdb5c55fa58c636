"""How the table of nouns is made, and how the model that knows them is measured. Installed nowhere."""
