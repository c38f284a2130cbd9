"""What the Docker runner works with: the engine, the images, and the keeper of a container."""
