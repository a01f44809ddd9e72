"""Editing: denoisers that keep, restore or vary a picture, and plans that lead to one."""
