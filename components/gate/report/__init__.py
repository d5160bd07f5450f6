"""The verdict to look at: a page that needs nothing else, and the model card. `verdict.json` stays the source."""
