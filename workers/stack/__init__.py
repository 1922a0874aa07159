"""The servers that docmill brings along: real Postgres and Valkey, without a system package."""
