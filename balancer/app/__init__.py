"""The page of `balancer serve`: what it shows, and the layout that shows it."""
