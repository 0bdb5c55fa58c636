"""How the bundled model `tiny` is trained and measured; this package travels in no wheel."""
