"""NetworkPolicies: the objects of the API server, the Pods that they select, and their log."""
