"""What every request passes before it reaches the API or the page: who asks, what may they, what do they send."""
