"""The GPT Lineage: from n-grams to GPT-4, one module a chapter."""
