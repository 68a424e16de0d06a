"""A made-up city, drawn from the polygons that label it: the data set of the demo and of anyone who has none."""
