"""Body of each job: its options, plan and report. Above the engine; may use everything below it."""
