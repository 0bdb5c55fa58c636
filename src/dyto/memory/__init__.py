"""Memories of videos: encoded once, kept in a file or while they are filmed, asked as often as one likes.

1. `online`: every frame is a segment; of more than M segments the two neighbours that differ least join, by the rule of
   `plus`. A segment keeps the mean of its frames' directions, and one frame that represents it. `splits` puts the
   representatives in the order in which the hierarchy splits, so that any prefix is the memory of a smaller M.
2. `noise`: how far apart frames of one scene are, in bounded memory, since `plus` compares with it.
3. `packing`: what is kept of a representative: its patches, merged by halves if the file would be too large, as
   numbers of the model's dtype, float16 or int8, and its picture as JPEG, to encode it again when more is asked.
4. `growing`: frames go in one by one, however they come in batches; a `Memory` can be taken at any time.
5. `remembered`: the memory of a video. `tokens` runs a strategy on the representatives (`recalling`), by the same road
   as for the video, so that a memory of all frames gives the same answers.
6. `store` and `journal`: one safetensors file in the order of splits, and the log of a memory that still grows, in the
   order of time; each record of it is sealed by a checksum.
7. `remembering` and `watching` fill a memory from a file, and from frames as they come.
"""
