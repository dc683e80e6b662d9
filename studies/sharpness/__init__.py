"""Sharpness: does the largest eigenvalue of the Hessian decide which learning rates survive?"""
