"""The four services and what every call to them goes through: only the composition root (`app`) knows that they exist."""
