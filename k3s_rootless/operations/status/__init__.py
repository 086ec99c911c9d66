"""The observations of `status`, and the state of K3s that follows from them."""
