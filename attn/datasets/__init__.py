"""Public data sets: their files, their training and test splits, and folders of Web images."""
