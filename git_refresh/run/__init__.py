"""One run: every workspace's credential, then every Git folder. Decisions are pure; the outside is reached through `ports`."""
