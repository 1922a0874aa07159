"""Documents in pieces, found again: chunks, embeddings, and what of them fits a model's window."""
