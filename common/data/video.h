/* Video files through FFmpeg's libraries: which frames a file has, and chosen ones of them as RGB pictures.
 *
 * A file is read once without decoding to learn the time of every frame: so the count is right where headers lie or say
 * nothing (webm, ogv, variable frame rates, cut files), and a frame's number means the same everywhere.  Reading frames
 * then decodes as little as it can: it jumps to a key frame only when that lies ahead of where the decoder is.  What
 * comes back is what decoding from the start would give.
 *
 * Pictures are turned as the file's display matrix says, and converted with its own matrix and range (unknown: BT.709
 * from 720 lines on, else BT.601, limited).  Nothing hangs: reading and decoding stop at a time limit.
 *
 * Nothing but the file is read.  Only containers that hold their frames themselves are opened (told by their content:
 * mp4 and mov, Matroska and WebM, AVI, MPEG streams, Ogg, FLV, ASF): a playlist under such a name is refused, and no
 * container makes this open another file or a connection. */
#ifndef DATA_VIDEO_H
#define DATA_VIDEO_H

#include "data/image.h"

struct video_limits {
    double seconds;     /* for opening and all reading together */
    int64_t max_pixels; /* of a frame */
};

struct video_info {
    int width, height; /* as shown */
    int rotation;      /* degrees clockwise that the pictures were turned: 0, 90, 180, 270 */
    int64_t frames;
    double seconds; /* from the first frame to the end of the last; 0 when times are not known */
    char codec[32];
};

/* How n frames are spread over T (PE's two rules):  VIDEO_SPAN: int(i (T - 1) / (n - 1)), clip_benchmark's, the last
 * frame included; VIDEO_FLOOR: int(i T / n), the demo notebook's. */
enum video_rule { VIDEO_SPAN, VIDEO_FLOOR };

/* Does the name end in .mp4 .m4v .mov .webm .mkv .avi .mpg .mpeg .ogv .flv .3gp .wmv or .ts (any case)? */
bool video_is_name(const char *name);

struct video;
/* A file without a video stream, that is no media file or is damaged beyond its first frame is an error that says so.
 * */
int video_open(struct video **video, const char *path, struct video_limits limits, struct error *error);
/* The same for the bytes of a file, which must stay until video_close; name stands for the path in messages, its ending
 * helps to tell the container. */
int video_open_bytes(struct video **video, const char *name, const uint8_t *bytes, size_t len,
                     struct video_limits limits, struct error *error);
void video_close(struct video *video);
const struct video_info *video_info(const struct video *video);
/* Seconds of frame i after the first. */
double video_time(const struct video *video, int64_t frame);

/* which [count]: numbers of n frames by the rule; a video of fewer frames repeats some. */
void video_uniform(enum video_rule rule, int64_t frames, int count, int64_t *which);
/* The frames nearest to i / rate seconds, at most `most`; returns how many. */
int video_at_rate(const struct video *video, double rate, int most, int64_t *which);

/* pictures [count] of frames which [count], in any order; the caller frees each.  On failure none is left. */
int video_read(struct video *video, const int64_t *which, int count, struct image *pictures, struct error *error);

#endif
