/* Demuxing for the index, seeking, decoding, conversion. */
#include "data/video.h"

#include <errno.h>
#include <fcntl.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/avstring.h>
#include <libavutil/display.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/str.h"

struct moment {
    int64_t pts;
    bool key;
};

struct video {
    char *path;
    const uint8_t *bytes; /* the file where it lies in memory, else NULL */
    int descriptor;       /* the file where it lies on disk, else -1 */
    int64_t len, at;
    AVIOContext *io;
    struct video_info info;
    struct video_limits limits;
    double deadline;
    AVFormatContext *file;
    AVCodecContext *decoder;
    AVStream *stream;
    AVPacket *packet;
    AVFrame *frame;
    struct SwsContext *convert;
    struct moment *moments; /* [info.frames], by time */
    bool untimed;           /* times are missing, or some come twice: frames are counted as they come instead */
    double unit;            /* seconds of a step of time */
    int64_t position;       /* pts of the frame decoded last, INT64_MIN before the first */
    int64_t *wanted;        /* [wanted_count] times of the frames being read, ascending */
    int wanted_count;
    bool drained; /* the file has ended and the decoder was told */
};

static int out_of_time(void *context)
{
    const struct video *v = context;
    return clock_seconds() > v->deadline;
}

static int fail(const struct video *v, int code, const char *what, struct error *error)
{
    char text[AV_ERROR_MAX_STRING_SIZE];
    if (out_of_time((void *)v))
        return error_set(error, ERROR_SLOW, "%s: took longer than %g s", v->path, v->limits.seconds);
    return error_set(error, ERROR_FAILED, "%s: %s: %s", v->path, what, av_make_error_string(text, sizeof text, code));
}

static int by_time(const void *a, const void *b)
{
    const struct moment *x = a, *y = b;
    return (x->pts > y->pts) - (x->pts < y->pts);
}

/* Times of all frames. */
static int index_frames(struct video *v, struct error *error)
{
    int64_t cap = 0, n = 0;
    int code;
    while ((code = av_read_frame(v->file, v->packet)) >= 0) {
        const AVPacket *p = v->packet;
        if (p->stream_index == v->stream->index && !(p->flags & AV_PKT_FLAG_DISCARD) && p->size > 0) {
            if (n == cap) v->moments = mem_realloc(v->moments, (size_t)(cap = 2 * cap + 256), sizeof *v->moments);
            int64_t pts = p->pts != AV_NOPTS_VALUE ? p->pts : p->dts;
            if (pts == AV_NOPTS_VALUE) v->untimed = true;
            v->moments[n++] = (struct moment){pts, p->flags & AV_PKT_FLAG_KEY};
        }
        av_packet_unref(v->packet);
        if (out_of_time(v)) return fail(v, AVERROR_EXIT, "reading", error);
    }
    if (out_of_time(v)) return fail(v, code, "reading", error);
    if (!n) return error_set(error, ERROR_FAILED, "%s: its video stream has no frames", v->path);
    qsort(v->moments, (size_t)n, sizeof *v->moments, by_time);
    v->info.frames = n;
    for (int64_t i = 0; i + 1 < n; i++) v->untimed |= v->moments[i].pts == v->moments[i + 1].pts;
    v->unit = av_q2d(v->stream->time_base);
    if (v->untimed) {
        double rate = av_q2d(av_guess_frame_rate(v->file, v->stream, NULL));
        v->unit = rate > 0 ? 1 / rate : 0;
        for (int64_t i = 0; i < n; i++) v->moments[i] = (struct moment){i, i == 0};
    }
    double span = (double)(v->moments[n - 1].pts - v->moments[0].pts) * v->unit;
    v->info.seconds = n > 1 ? span * (double)n / (double)(n - 1) : 0;
    return 0;
}

static int choose_stream(struct video *v, struct error *error)
{
    int best = -1;
    for (unsigned i = 0; i < v->file->nb_streams; i++) {
        AVStream *s = v->file->streams[i];
        bool film = s->codecpar->codec_type == AVMEDIA_TYPE_VIDEO && !(s->disposition & AV_DISPOSITION_ATTACHED_PIC);
        if (film && best < 0) best = (int)i;
        s->discard = AVDISCARD_ALL;
    }
    if (best < 0) return error_set(error, ERROR_FAILED, "%s: has no video stream", v->path);
    v->stream = v->file->streams[best];
    v->stream->discard = AVDISCARD_DEFAULT;
    return 0;
}

static int open_decoder(struct video *v, struct error *error)
{
    const AVCodecParameters *p = v->stream->codecpar;
    const AVCodec *codec = avcodec_find_decoder(p->codec_id);
    if (!codec) return error_set(error, ERROR_FAILED, "%s: no decoder for %s", v->path, avcodec_get_name(p->codec_id));
    if (p->width < 1 || p->height < 1)
        return error_set(error, ERROR_FAILED, "%s: frames of %d x %d pixels", v->path, p->width, p->height);
    if ((int64_t)p->width * p->height > v->limits.max_pixels)
        return error_set(error, ERROR_FAILED, "%s: %d x %d pixels, more than %ld", v->path, p->width, p->height,
                         (long)v->limits.max_pixels);
    v->decoder = avcodec_alloc_context3(codec);
    CHECK(v->decoder, "out of memory");
    v->decoder->thread_count = 1; /* files are decoded beside each other */
    v->decoder->max_pixels = v->limits.max_pixels;
    int code = avcodec_parameters_to_context(v->decoder, p);
    if (code >= 0) code = avcodec_open2(v->decoder, codec, NULL);
    if (code < 0) return fail(v, code, "opening its decoder", error);
    snprintf(v->info.codec, sizeof v->info.codec, "%s", avcodec_get_name(p->codec_id));
    const int32_t *matrix =
        (const int32_t *)(const void *)av_stream_get_side_data(v->stream, AV_PKT_DATA_DISPLAYMATRIX, NULL);
    double turned = matrix ? -av_display_rotation_get(matrix) : 0;
    v->info.rotation = isfinite(turned) ? (int)(lround(turned / 90) * 90 % 360 + 360) % 360 : 0;
    bool across = v->info.rotation % 180 != 0;
    v->info.width = across ? p->height : p->width;
    v->info.height = across ? p->width : p->height;
    return 0;
}

static int read_bytes(void *context, uint8_t *to, int size)
{
    struct video *v = context;
    if (v->at >= v->len) return AVERROR_EOF;
    if (size > v->len - v->at) size = (int)(v->len - v->at);
    ssize_t got = size;
    if (v->bytes)
        memcpy(to, v->bytes + v->at, (size_t)size);
    else
        got = pread(v->descriptor, to, (size_t)size, v->at);
    if (got < 0) return AVERROR(errno);
    v->at += got;
    return got ? (int)got : AVERROR_EOF;
}

static int64_t seek_bytes(void *context, int64_t offset, int whence)
{
    struct video *v = context;
    if (whence & AVSEEK_SIZE) return v->len;
    whence &= ~AVSEEK_FORCE;
    int64_t at = whence == SEEK_SET ? offset : whence == SEEK_CUR ? v->at + offset : v->len + offset;
    if (at < 0) return AVERROR(EINVAL);
    return v->at = at;
}

static void close_container(struct video *v)
{
    avformat_close_input(&v->file);
    if (v->io) av_freep(&v->io->buffer);
    avio_context_free(&v->io);
}

/* What a file is, by its content.  Only containers that hold their frames themselves are read: FFmpeg also takes
 * playlists and scripts (hls, dash, concat, sdp, image sequences) that name other files or hosts, under any ending. */
static int choose_container(struct video *v, const AVInputFormat **format, struct error *error)
{
    static const char containers[] = "mov,matroska,avi,mpegts,mpeg,mpegvideo,ogg,flv,asf"; /* mpegvideo: bare */
    int code = av_probe_input_buffer2(v->io, format, v->path, NULL, 0, 0);
    if (code < 0) return fail(v, code, "opening", error);
    if (av_match_list((*format)->name, containers, ',')) return 0;
    return error_set(error, ERROR_FAILED, "%s: no video stream is read from a file of format %s (only from %s)",
                     v->path, (*format)->name, containers);
}

/* A container may still name other files (QuickTime's data references). */
static int refuse_file(AVFormatContext *file, AVIOContext **io, const char *url, int flags, AVDictionary **options)
{
    (void)file, (void)io, (void)url, (void)flags, (void)options;
    return AVERROR(EACCES);
}

/* The file at its first packet, and its video stream.  FFmpeg opens nothing itself: it is given the bytes. */
static int open_container(struct video *v, struct error *error)
{
    enum { BUFFER = 1 << 16 };
    const AVInputFormat *format = NULL;
    v->at = 0;
    v->io = avio_alloc_context(av_malloc(BUFFER), BUFFER, 0, v, read_bytes, NULL, seek_bytes);
    CHECK(v->io, "out of memory");
    if (choose_container(v, &format, error) < 0) return -1;
    v->file = avformat_alloc_context();
    CHECK(v->file, "out of memory");
    v->file->interrupt_callback = (AVIOInterruptCB){out_of_time, v};
    v->file->pb = v->io;
    v->file->io_open = refuse_file;
    v->file->protocol_whitelist = av_strdup(""); /* none */
    int code = avformat_open_input(&v->file, v->path, format, NULL);
    if (code < 0) return fail(v, code, "opening", error);
    code = avformat_find_stream_info(v->file, NULL); /* which also ends early, content, when the time is over */
    if (code < 0 || out_of_time(v)) return fail(v, code, "reading its streams", error);
    return choose_stream(v, error);
}

/* To the key frame at `pts`; where frames are counted, to the first packet by opening the file again: there is no time
 * to seek to. */
static int rewind_to(struct video *v, int64_t pts, struct error *error)
{
    int code = 0;
    if (v->untimed) {
        close_container(v);
        if (open_container(v, error) < 0) return -1;
    } else {
        code = av_seek_frame(v->file, v->stream->index, pts, AVSEEK_FLAG_BACKWARD);
        if (code < 0)
            code = av_seek_frame(v->file, -1, 0,
                                 AVSEEK_FLAG_BACKWARD |
                                     AVSEEK_FLAG_BYTE); /* containers without an index: from the start */
    }
    if (code < 0) return fail(v, code, "seeking", error);
    avcodec_flush_buffers(v->decoder);
    v->position = INT64_MIN;
    v->drained = false;
    return 0;
}

static int open_file(struct video *v, struct error *error)
{
    v->packet = av_packet_alloc();
    v->frame = av_frame_alloc();
    CHECK(v->packet && v->frame, "out of memory");
    if (open_container(v, error) < 0 || open_decoder(v, error) < 0 || index_frames(v, error) < 0) return -1;
    return rewind_to(v, v->moments[0].pts, error);
}

static struct video *new_video(const char *path, struct video_limits limits)
{
    av_log_set_level(AV_LOG_QUIET); /* our own messages name the file */
    struct video *v = mem_zalloc(1, sizeof *v);
    v->path = mem_strdup(path);
    v->descriptor = -1;
    v->limits = limits;
    v->deadline = clock_seconds() + limits.seconds;
    return v;
}

/* Hand over an opened v, or close it. */
static int deliver(struct video *v, int rc, struct video **video)
{
    if (rc < 0)
        video_close(v);
    else
        *video = v;
    return rc;
}

int video_open_bytes(struct video **video, const char *path, const uint8_t *bytes, size_t len,
                     struct video_limits limits, struct error *error)
{
    struct video *v = new_video(path, limits);
    v->bytes = bytes;
    v->len = (int64_t)len;
    return deliver(v, open_file(v, error), video);
}

int video_open(struct video **video, const char *path, struct video_limits limits, struct error *error)
{
    struct video *v = new_video(path, limits);
    v->descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe is not waited for */
    if (v->descriptor >= 0) v->len = lseek(v->descriptor, 0, SEEK_END);
    bool opened = v->descriptor >= 0 && v->len >= 0;
    return deliver(v, opened ? open_file(v, error) : fail(v, AVERROR(errno), "opening", error), video);
}

void video_close(struct video *v)
{
    if (!v) return;
    sws_freeContext(v->convert);
    av_frame_free(&v->frame);
    av_packet_free(&v->packet);
    avcodec_free_context(&v->decoder);
    close_container(v);
    if (v->descriptor >= 0) close(v->descriptor);
    free(v->moments);
    free(v->path);
    free(v);
}

const struct video_info *video_info(const struct video *v)
{
    return &v->info;
}

double video_time(const struct video *v, int64_t frame)
{
    CHECK(frame >= 0 && frame < v->info.frames, "frame %ld of %ld", (long)frame, (long)v->info.frames);
    return (double)(v->moments[frame].pts - v->moments[0].pts) * v->unit;
}

bool video_is_name(const char *name)
{
    static const char *const ends[] = {".mp4",  ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg",
                                       ".mpeg", ".ogv", ".flv", ".3gp",  ".wmv", ".ts"};
    size_t len = strlen(name);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (len > strlen(ends[i]) && !strcasecmp(name + len - strlen(ends[i]), ends[i])) return true;
    return false;
}

void video_uniform(enum video_rule rule, int64_t frames, int count, int64_t *which)
{
    CHECK(frames > 0 && count > 0, "%d of %ld frames", count, (long)frames);
    for (int i = 0; i < count; i++) {
        if (rule == VIDEO_FLOOR)
            which[i] = i * frames / count;
        else
            which[i] = count > 1 ? i * (frames - 1) / (count - 1) : 0;
    }
}

int video_at_rate(const struct video *v, double rate, int most, int64_t *which)
{
    int count = 0;
    int64_t at = 0;
    for (; count < most && (double)count / rate < v->info.seconds; count++) {
        double wanted = (double)count / rate;
        while (at + 1 < v->info.frames && fabs(video_time(v, at + 1) - wanted) <= fabs(video_time(v, at) - wanted))
            at++;
        which[count] = at;
    }
    if (!count && most > 0) which[count++] = 0;
    return count;
}

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Give the decoder a packet.  A frame nobody asked for that no other needs is not decoded; a damaged packet is passed
 * over: the frames around it may be whole. */
static void send(struct video *v, const AVPacket *packet)
{
    int64_t pts = packet->pts != AV_NOPTS_VALUE ? packet->pts : packet->dts;
    bool asked = v->untimed || bsearch(&pts, v->wanted, (size_t)v->wanted_count, sizeof pts, ascending);
    v->decoder->skip_frame = asked ? AVDISCARD_DEFAULT : AVDISCARD_NONREF;
    avcodec_send_packet(v->decoder, packet);
}

/* The next frame in order of time into v->frame: 1, 0 at the end of the file. */
static int next_frame(struct video *v, struct error *error)
{
    for (;;) {
        if (out_of_time(v)) return fail(v, AVERROR_EXIT, "decoding", error);
        int code = avcodec_receive_frame(v->decoder, v->frame);
        if (code >= 0) {
            int64_t pts = v->frame->best_effort_timestamp;
            v->position = pts != AV_NOPTS_VALUE && !v->untimed ? pts
                          : v->position == INT64_MIN           ? v->moments[0].pts
                                                               : v->position + 1;
            return 1;
        }
        if (code == AVERROR_EOF) return 0;
        if (code != AVERROR(EAGAIN)) return fail(v, code, "decoding", error);
        if (v->drained) return 0;
        code = av_read_frame(v->file, v->packet);
        if (code >= 0 && v->packet->stream_index == v->stream->index) {
            send(v, v->packet);
            av_packet_unref(v->packet);
        } else if (code >= 0) {
            av_packet_unref(v->packet);
        } else {
            avcodec_send_packet(v->decoder, NULL);
            v->drained = true;
        }
    }
}

/* The last key frame not after `pts`. */
static int64_t key_before(const struct video *v, int64_t pts)
{
    int64_t key = v->moments[0].pts;
    for (int64_t i = 0; i < v->info.frames && v->moments[i].pts <= pts; i++)
        if (v->moments[i].key) key = v->moments[i].pts;
    return key;
}

/* Decode up to the frame.  What was skipped on the way was not wanted by this video_read; another one begins at a key
 * frame. */
static int go_to(struct video *v, int64_t frame, struct error *error)
{
    int64_t target = v->moments[frame].pts, key = key_before(v, target);
    bool behind = v->position > target, ahead = v->position == INT64_MIN ? key > v->moments[0].pts : key > v->position;
    if (v->position == target) return 0;
    if ((behind || ahead) && rewind_to(v, key, error) < 0) return -1;
    for (;;) {
        int rc = next_frame(v, error);
        if (rc < 0) return -1;
        if (rc == 0)
            return error_set(error, ERROR_FAILED,
                             "%s: frame %ld of %ld cannot be decoded; the file ends early or is damaged", v->path,
                             (long)frame, (long)v->info.frames);
        if (v->position >= target) return 0;
    }
}

/* v->frame as RGB. */
static int convert(struct video *v, struct image *picture, struct error *error)
{
    static const int orientation_of[] = {1, 6, 3, 8}; /* EXIF's numbers for 0, 90, 180, 270 degrees clockwise */
    const AVFrame *f = v->frame;
    if ((int64_t)f->width * f->height > v->limits.max_pixels || f->width < 1 || f->height < 1)
        return error_set(error, ERROR_FAILED, "%s: a frame of %d x %d pixels", v->path, f->width, f->height);
    v->convert =
        sws_getCachedContext(v->convert, f->width, f->height, (enum AVPixelFormat)f->format, f->width, f->height,
                             AV_PIX_FMT_RGB24, SWS_BILINEAR | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT, NULL, NULL, NULL);
    if (!v->convert)
        return error_set(error, ERROR_FAILED, "%s: cannot convert pixels of format %s", v->path,
                         av_get_pix_fmt_name((enum AVPixelFormat)f->format));
    int space = f->colorspace == AVCOL_SPC_BT709                             ? SWS_CS_ITU709
                : f->colorspace == AVCOL_SPC_BT2020_NCL                      ? SWS_CS_BT2020
                : f->colorspace == AVCOL_SPC_UNSPECIFIED && f->height >= 720 ? SWS_CS_ITU709
                                                                             : SWS_CS_ITU601;
    const int *coefficients = sws_getCoefficients(space);
    sws_setColorspaceDetails(v->convert, coefficients, f->color_range == AVCOL_RANGE_JPEG,
                             sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16, 1 << 16);
    *picture = (struct image){f->width, f->height, mem_alloc((size_t)f->width * (size_t)f->height, 3)};
    uint8_t *rows[4] = {picture->pixels};
    int strides[4] = {3 * f->width};
    int code = sws_scale(v->convert, (const uint8_t *const *)f->data, f->linesize, 0, f->height, rows, strides);
    if (code != f->height) {
        image_free(picture);
        return fail(v, code, "converting a frame", error);
    }
    image_orient(picture, orientation_of[v->info.rotation / 90]);
    return 0;
}

struct wanted {
    int64_t frame;
    int place;
};

static int by_frame(const void *a, const void *b)
{
    const struct wanted *x = a, *y = b;
    return x->frame != y->frame ? (x->frame > y->frame) - (x->frame < y->frame) : x->place - y->place;
}

int video_read(struct video *v, const int64_t *which, int count, struct image *pictures, struct error *error)
{
    struct wanted *order = mem_alloc((size_t)count, sizeof *order);
    int rc = 0, done = 0;
    for (int i = 0; i < count; i++) {
        CHECK(which[i] >= 0 && which[i] < v->info.frames, "frame %ld of %ld", (long)which[i], (long)v->info.frames);
        order[i] = (struct wanted){which[i], i};
    }
    qsort(order, (size_t)count, sizeof *order, by_frame);
    v->wanted = mem_alloc((size_t)count, sizeof *v->wanted);
    v->wanted_count = count;
    for (int i = 0; i < count; i++) v->wanted[i] = v->moments[order[i].frame].pts;
    if (v->position != INT64_MIN) v->position = INT64_MAX; /* the decoder passed over frames that may be wanted now */
    for (; done < count && rc == 0; done++) {
        rc = go_to(v, order[done].frame, error);
        if (rc == 0) rc = convert(v, &pictures[order[done].place], error);
        if (rc < 0) break;
    }
    for (int i = 0; i < done && rc < 0; i++) image_free(&pictures[order[i].place]);
    free(v->wanted);
    v->wanted = NULL;
    v->wanted_count = 0;
    free(order);
    return rc;
}
