"""What all reports share: a base page, its styles, and how text and pictures get into it. Nothing is read here."""
