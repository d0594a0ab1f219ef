"""Pure mathematics that the rooms above share."""
