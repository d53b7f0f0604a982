"""The paper's tables from one command: the data, the plan, its steps, what comes of them."""
