"""What `check_device` tries: checks in a process of the framework, programs that run for longer, and the page of the report."""
