"""The encryption of Secrets in K3s's datastore: its state, and changes of its keys."""
