"""What tests share: fakes, virtual time, made-up trees, runs of the app, and what they are held to."""
