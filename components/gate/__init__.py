"""Gate: says with known error rates whether fine-tuning helped, harmed, or cannot be told apart from chance."""
