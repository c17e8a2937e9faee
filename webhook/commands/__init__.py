"""The commands of ``weighbridge``, one file each; what a command needs is imported when it runs."""
