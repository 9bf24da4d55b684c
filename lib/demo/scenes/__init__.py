"""The demo world "scenes": rendered pictures, captions, and every file of a dataset, by seed.

Regions say what is where only as far as a detector's would: a region's features come from the
pixels of its box with the background greyed out and the box resized, so they tell things and
colours, not the background, the place or the size; and some things the detector misses. Grid cells
come from the whole picture and miss nothing, but blur what is near each other. What is where is in
the segmentation."""
