"""What it takes to serve others: the interfaces of programs, who may use them and how much, and an orderly end."""
