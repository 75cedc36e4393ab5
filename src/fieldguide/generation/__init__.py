"""Messages to tokens: the prompt, the chat template, and the language model that reads and writes."""
