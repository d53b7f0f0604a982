"""Public data sets: what lies where, which videos are trained and tested on, and folders of Web images."""
