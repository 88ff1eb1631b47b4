"""The benchmark bed: starts HTTP servers, checks their answers, loads them side by side, and reports."""
