"""What ``docmill doctor`` looks at. Each check tells what it found, or raises what is wrong."""
