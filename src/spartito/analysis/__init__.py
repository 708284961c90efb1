"""What a piece is made of: beats, bars, chords, melody."""
