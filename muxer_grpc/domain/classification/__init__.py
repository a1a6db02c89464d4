"""Says what kind of task a prompt is: signals first, then one classification that rests on them."""
