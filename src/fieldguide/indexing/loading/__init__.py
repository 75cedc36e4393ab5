"""Files of many formats to text with its structure. What reads a stranger's file does so in a child process with limits."""
