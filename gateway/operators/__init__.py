"""Who may use the admin interface: operators with a role and a key, of which only the hash is kept."""
