"""Continued pre-training: re-warming the learning rate, replaying old text, and open-ended schedules."""
