"""A made-up city, drawn from the polygons that label it: a dataset for the demo and for users who have no other."""
