"""For who tests flows of their own: a pytest plugin that runs them as jobs, and cancels or kills them midway."""
