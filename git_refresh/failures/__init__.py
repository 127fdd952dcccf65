"""From a symptom to a stable code, its cause and its remedy."""
