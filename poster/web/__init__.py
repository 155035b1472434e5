"""What `poster serve` gives programs and people: it only translates, to `poster.Client` and back."""
