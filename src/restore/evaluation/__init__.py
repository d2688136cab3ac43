"""What the results say of themselves: tensors in, result records out."""
