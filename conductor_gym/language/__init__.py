"""Episodes as text: what a language model reads of them, and actions that it writes."""
