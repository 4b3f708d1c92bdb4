"""Examples of how shops use PinSphere; not part of the package."""
