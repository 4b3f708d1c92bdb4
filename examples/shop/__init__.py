"""A small shop with Pin It buttons, wired to PinSphere as a retailer would do it."""
