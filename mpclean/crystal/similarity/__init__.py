"""When two crystals count as similar: by composition, by prototype, by structure."""
