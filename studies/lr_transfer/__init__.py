"""Transfer of the best learning rate over width and depth, and the sharpness that accompanies it."""
