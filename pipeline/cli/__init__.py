"""The command line, `thaw`: it unpacks arguments, calls the pipeline and draws what comes of it."""
