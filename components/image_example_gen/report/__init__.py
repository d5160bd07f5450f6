"""What came in, to look at: a contact sheet and a page. Pure functions of what is known; nothing is read here."""
