"""What people look at: a result becomes a figure or a page; nothing is computed here but grey
levels.
"""
