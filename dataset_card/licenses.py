"""Which licences let a picture be published again. Ids as the Hub spells them."""

# Creative Commons without the no-derivatives ones: a published picture may have been scaled and re-encoded.
REDISTRIBUTABLE = frozenset(
    {
        "cc0-1.0", "pddl", "publicdomain", "apache-2.0", "mit",
        "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0",
        "cc-by-sa-2.0", "cc-by-sa-2.5", "cc-by-sa-3.0", "cc-by-sa-4.0",
        "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0",
        "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0",
    }
)  # fmt: skip
