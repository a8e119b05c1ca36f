/* Video files made here by FFmpeg's encoders, read back: every frame carries its number as a grey level, so what is
 * read can be told.
 *
 * Clips in several codecs and containers: with B-frames, long and short groups, variable frame rate, turned, odd pixel
 * formats; and damaged ones. */
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libavutil/opt.h>
#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/memory.h"
#include "base/str.h"
#include "data/video.h"
#include "test/harness.h"

enum { WIDTH = 96, HEIGHT = 64, FRAMES = 50 };

struct clip {
    const char *file, *codec;
    enum AVPixelFormat format;
    int group, b_frames, tolerance; /* tolerance: of grey levels, for lossy codecs */
    bool variable;                  /* frame i at i * i / 4 + 2 i hundredths of a second */
    int rotation;
    bool full_range;
};

static int level_of(int frame)
{
    return 36 + frame * 4;
} /* luma, limited range */

static int64_t time_of(const struct clip *c, int frame)
{
    return c->variable ? frame * frame / 4 + 2 * frame : 4 * frame;
}

/* Grey by number, the left upper quarter darker: so that turning shows. */
static void draw(AVFrame *f, const struct clip *c, int frame)
{
    bool wide = f->format == AV_PIX_FMT_YUV420P10LE;
    for (int plane = 0; plane < 3 && f->data[plane]; plane++) {
        int w = plane ? (WIDTH + (f->format != AV_PIX_FMT_YUV444P)) / (1 + (f->format != AV_PIX_FMT_YUV444P)) : WIDTH;
        int h =
            plane ? f->format == AV_PIX_FMT_YUV444P || f->format == AV_PIX_FMT_YUV422P ? HEIGHT : HEIGHT / 2 : HEIGHT;
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++) {
                int value = plane ? 128 : level_of(frame) - (x < WIDTH / 2 && y < HEIGHT / 2 ? 10 : 0);
                if (c->full_range && !plane) value = (value - 16) * 255 / 219;
                if (wide)
                    ((uint16_t *)(void *)(f->data[plane] + y * f->linesize[plane]))[x] = (uint16_t)(value << 2);
                else
                    f->data[plane][y * f->linesize[plane] + x] = (uint8_t)value;
            }
    }
}

static void drain(AVCodecContext *encoder, AVFormatContext *file, AVStream *stream, AVPacket *packet)
{
    while (avcodec_receive_packet(encoder, packet) >= 0) {
        packet->duration =
            av_rescale_q(4, (AVRational){1, 100}, encoder->time_base); /* or the last frame would last no time */
        av_packet_rescale_ts(packet, encoder->time_base, stream->time_base);
        packet->stream_index = stream->index;
        av_interleaved_write_frame(file, packet);
    }
}

/* Returns the path, or NULL where this FFmpeg lacks the encoder. */
static char *make(const struct clip *c)
{
    const AVCodec *codec = avcodec_find_encoder_by_name(c->codec);
    if (!codec) return NULL;
    char *path = fs_join(test_folder(), c->file);
    AVFormatContext *file = NULL;
    avformat_alloc_output_context2(&file, NULL, NULL, path);
    AVStream *stream = avformat_new_stream(file, NULL);
    AVCodecContext *encoder = avcodec_alloc_context3(codec);
    encoder->width = WIDTH, encoder->height = HEIGHT, encoder->pix_fmt = c->format;
    encoder->time_base = (AVRational){1, 100};
    encoder->framerate = (AVRational){25, 1};
    if (!strcmp(c->codec, "mpeg4")) encoder->time_base = (AVRational){1, 25};
    encoder->gop_size = c->group, encoder->max_b_frames = c->b_frames, encoder->global_quality = 1 * FF_QP2LAMBDA,
    encoder->flags |= AV_CODEC_FLAG_QSCALE;
    encoder->thread_count = 1;
    encoder->color_range = c->full_range ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
    if (file->oformat->flags & AVFMT_GLOBALHEADER) encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    av_opt_set(encoder->priv_data, "crf", "10", 0);
    av_opt_set(encoder->priv_data, "cpu-used", "8", 0);
    av_opt_set(encoder->priv_data, "deadline", "realtime", 0);
    int code = avcodec_open2(encoder, codec, NULL);
    EXPECT(code >= 0, "%s does not open: %d", c->codec, code);
    avcodec_parameters_from_context(stream->codecpar, encoder);
    stream->time_base = encoder->time_base;
    if (c->rotation)
        av_display_rotation_set(
            (int32_t *)(void *)av_stream_new_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, 9 * sizeof(int32_t)),
            c->rotation);
    avio_open(&file->pb, path, AVIO_FLAG_WRITE);
    EXPECT(avformat_write_header(file, NULL) >= 0, "%s: no header", c->file);
    AVFrame *frame = av_frame_alloc();
    AVPacket *packet = av_packet_alloc();
    frame->width = WIDTH, frame->height = HEIGHT, frame->format = c->format;
    frame->color_range = encoder->color_range;
    av_frame_get_buffer(frame, 0);
    for (int i = 0; i < FRAMES; i++) {
        av_frame_make_writable(frame);
        draw(frame, c, i);
        frame->pts = av_rescale_q(time_of(c, i), (AVRational){1, 100}, encoder->time_base);
        frame->quality = encoder->global_quality;
        avcodec_send_frame(encoder, frame);
        drain(encoder, file, stream, packet);
    }
    avcodec_send_frame(encoder, NULL);
    drain(encoder, file, stream, packet);
    av_write_trailer(file);
    avio_closep(&file->pb);
    av_frame_free(&frame);
    av_packet_free(&packet);
    avcodec_free_context(&encoder);
    avformat_free_context(file);
    return path;
}

static const struct video_limits limits = {30, 1 << 24};

static struct video *open_or_fail(const char *path)
{
    struct error error = {0};
    struct video *v = NULL;
    EXPECT(video_open(&v, path, limits, &error) == 0, "%s", error.text);
    return v;
}

/* Mean of the lower right quarter as shown, which the darker one never reaches. */
static double shown_level(const struct image *p, int x0, int y0)
{
    double sum = 0;
    int w = p->width / 4, h = p->height / 4;
    for (int y = y0 + h / 2; y < y0 + h; y++)
        for (int x = x0 + w / 2; x < x0 + w; x++)
            sum += p->pixels[3 * (y * p->width + x)] + p->pixels[3 * (y * p->width + x) + 1] +
                   p->pixels[3 * (y * p->width + x) + 2];
    return sum / (3. * (h - h / 2) * (w - w / 2));
}

static double rgb_of(int level)
{
    return (level - 16) * 255. / 219;
}

static void check_frames(const struct clip *c, struct video *v, const int64_t *which, int count)
{
    struct error error = {0};
    struct image *p = mem_zalloc((size_t)count, sizeof *p);
    EXPECT(video_read(v, which, count, p, &error) == 0, "%s: %s", c->file, error.text);
    for (int i = 0; i < count && !error.code; i++) {
        double got = shown_level(&p[i], c->rotation == 180 ? 0 : p[i].width * 3 / 4, p[i].height / 2),
               want = rgb_of(level_of((int)which[i]));
        bool across = c->rotation % 180;
        EXPECT(p[i].width == (across ? HEIGHT : WIDTH) && p[i].height == (across ? WIDTH : HEIGHT), "%s: %d x %d",
               c->file, p[i].width, p[i].height);
        EXPECT(fabs(got - want) <= c->tolerance, "%s: frame %ld has level %.1f, want %.1f", c->file, (long)which[i],
               got, want);
        /* the darker quarter, at the left upper corner when not turned */
        int left = c->rotation == 90 || c->rotation == 180, low = c->rotation == 180 || c->rotation == 270;
        double dark = shown_level(&p[i], left ? p[i].width * 3 / 4 : 0, low ? p[i].height * 3 / 4 : 0);
        if (c->rotation) got = shown_level(&p[i], left ? 0 : p[i].width * 3 / 4, low ? 0 : p[i].height * 3 / 4);
        EXPECT(fabs(got - dark - rgb_of(26)) <= c->tolerance + 1, "%s turned by %d: %.1f and %.1f", c->file,
               c->rotation, dark, got);
        image_free(&p[i]);
    }
    free(p);
}

/* Frames read alone are, byte for byte, those of reading all. */
static void check_bytes(const struct clip *c, struct video *v, const int64_t *all, const int64_t *some, int count)
{
    struct error error = {0};
    struct image *a = mem_zalloc(FRAMES, sizeof *a), *b = mem_zalloc((size_t)count, sizeof *b);
    EXPECT(video_read(v, all, FRAMES, a, &error) == 0 && video_read(v, some, count, b, &error) == 0, "%s: %s", c->file,
           error.text);
    for (int i = 0; i < count && !error.code; i++)
        EXPECT(!memcmp(a[some[i]].pixels, b[i].pixels, (size_t)(3 * b[i].width * b[i].height)),
               "%s: frame %ld differs when read alone", c->file, (long)some[i]);
    for (int i = 0; i < FRAMES; i++) image_free(&a[i]);
    for (int i = 0; i < count; i++) image_free(&b[i]);
    free(a);
    free(b);
}

static void clip(const struct clip *c)
{
    char *path = make(c);
    if (!path) {
        printf("  %s: no encoder here\n", c->codec);
        return;
    }
    struct video *v = open_or_fail(path);
    if (!v) return;
    const struct video_info *info = video_info(v);
    EXPECT(info->frames == FRAMES && info->rotation == c->rotation, "%s: %ld frames, turned by %d", c->file,
           (long)info->frames, info->rotation);
    if (info->frames != FRAMES) return;
    double end = (double)time_of(c, FRAMES - 1) / 100;
    EXPECT(fabs(video_time(v, FRAMES - 1) - end) < 0.011, "%s: last frame at %.3f, want %.3f", c->file,
           video_time(v, FRAMES - 1), end);
    int64_t all[FRAMES], some[8];
    for (int i = 0; i < FRAMES; i++) all[i] = i;
    check_frames(c, v, all, FRAMES);
    video_uniform(VIDEO_SPAN, FRAMES, 8, some);
    EXPECT(some[0] == 0 && some[1] == 7 && some[7] == 49, "%ld %ld %ld", (long)some[0], (long)some[1], (long)some[7]);
    check_frames(c, v, some, 8);
    video_uniform(VIDEO_FLOOR, FRAMES, 8, some);
    EXPECT(some[0] == 0 && some[1] == 6 && some[7] == 43, "%ld %ld %ld", (long)some[0], (long)some[1], (long)some[7]);
    check_frames(c, v, some, 8);
    check_frames(c, v, (int64_t[]){49, 3, 3, 27, 0, 48}, 6); /* in any order, twice the same */
    check_bytes(c, v, all, (int64_t[]){44, 5, 30}, 3);
    video_close(v);
    free(path);
}

static void codecs(void)
{
    static const struct clip clips[] = {
        {"ffv1.mkv", "ffv1", AV_PIX_FMT_YUV420P, 1, 0, 1, false, 0, false},
        {"ffv1_444.mkv", "ffv1", AV_PIX_FMT_YUV444P, 12, 0, 1, false, 0, false},
        {"ffv1_ten_bits.mkv", "ffv1", AV_PIX_FMT_YUV420P10LE, 1, 0, 1, false, 0, false},
        {"mpeg4.avi", "mpeg4", AV_PIX_FMT_YUV420P, 12, 0, 3, false, 0, false},
        {"mpeg4_b.mp4", "mpeg4", AV_PIX_FMT_YUV420P, 250, 2, 3, false, 0, false},
        {"h264.mp4", "libx264", AV_PIX_FMT_YUV420P, 10, 3, 3, false, 0, false},
        {"h264_long.mkv", "libx264", AV_PIX_FMT_YUV420P, 250, 3, 3, false, 0, false},
        {"vp9.webm", "libvpx-vp9", AV_PIX_FMT_YUV420P, 16, 0, 3, false, 0, false},
        {"mjpeg.mov", "mjpeg", AV_PIX_FMT_YUVJ420P, 1, 0, 3, false, 0, true},
    };
    for (size_t i = 0; i < sizeof clips / sizeof *clips; i++) clip(&clips[i]);
}

static void variable_rate(void)
{
    clip(&(struct clip){"variable.mkv", "ffv1", AV_PIX_FMT_YUV420P, 1, 0, 1, true, 0, false});
}

static void turned(void)
{
    static const int turns[] = {90, 180, 270};
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "turned%d.mp4", turns[i]);
        clip(&(struct clip){name, "mpeg4", AV_PIX_FMT_YUV420P, 12, 0, 3, false, turns[i], false});
    }
}

/* A file whose times begin anew in the middle, as spliced recordings do: frames are counted. */
static void spliced(void)
{
    const struct clip c = {"once.ts", "mpeg2video", AV_PIX_FMT_YUV420P, 10, 0, 6, false, 0, false};
    char *once = make(&c), *twice = fs_join(test_folder(), "twice.ts"), *bytes;
    size_t len;
    struct error error = {0};
    if (!once) return;
    EXPECT(fs_read(once, &bytes, &len, &error) == 0, "%s", error.text);
    char *both = mem_alloc(2 * len, 1);
    memcpy(both, bytes, len);
    memcpy(both + len, bytes, len);
    EXPECT(fs_write(twice, both, 2 * len, &error) == 0, "%s", error.text);
    struct video *v = open_or_fail(twice);
    EXPECT(video_info(v)->frames == 2 * FRAMES, "%ld frames", (long)video_info(v)->frames);
    const int64_t which[] = {99, 0, 49, 50, 73};
    struct image p[5];
    for (int turn = 0; turn < 2; turn++) { /* a second time, from where the first left off */
        EXPECT(video_read(v, which, 5, p, &error) == 0, "%s", error.text);
        for (int i = 0; i < 5 && !error.code; i++) {
            double got = shown_level(&p[i], p[i].width * 3 / 4, p[i].height / 2),
                   want = rgb_of(level_of((int)which[i] % FRAMES));
            EXPECT(fabs(got - want) <= c.tolerance, "frame %ld has level %.1f, want %.1f", (long)which[i], got, want);
            image_free(&p[i]);
        }
    }
    EXPECT(fabs(video_time(v, 50) - 2) < .01, "frame 50 at %.3f s", video_time(v, 50));
    video_close(v);
    free(bytes);
    free(both);
    free(once);
    free(twice);
}

static void rate(void)
{
    char *path = make(&(struct clip){"rate.mkv", "ffv1", AV_PIX_FMT_YUV420P, 1, 0, 1, false, 0, false});
    struct video *v = open_or_fail(path);
    int64_t which[16];
    int n = video_at_rate(v, 5, 16, which); /* 25 a second for 2 s */
    EXPECT(n == 10 && which[1] == 5 && which[9] == 45, "%d frames, second %ld, last %ld", n, (long)which[1],
           (long)which[n - 1]);
    EXPECT(video_at_rate(v, 5, 4, which) == 4, "the most is kept");
    EXPECT(fabs(video_info(v)->seconds - 2) < .01, "%.3f s", video_info(v)->seconds);
    video_close(v);
    free(path);
}

static void refused(const char *what, const char *path, struct video_limits l, const char *says)
{
    struct error error = {0};
    struct video *v = NULL;
    EXPECT(video_open(&v, path, l, &error) < 0 && strstr(error.text, says) && strstr(error.text, path), "%s: %s", what,
           error.text);
}

static void bad_files(void)
{
    struct error error = {0};
    char *text = fs_join(test_folder(), "text.mp4"), *empty = fs_join(test_folder(), "empty.mp4"),
         *sound = fs_join(test_folder(), "sound.wav");
    char *whole = make(&(struct clip){"whole.mkv", "ffv1", AV_PIX_FMT_YUV420P, 1, 0, 1, false, 0, false}),
         *cut = fs_join(test_folder(), "cut.mkv"), *bytes;
    size_t len;
    unsigned char wav[44 + 800] =
        "RIFF\x4c\x03\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x40\x1f\0\0\1\0\x8\0data\x20\x03\0\0";
    fs_write(text, "this is no film", 15, &error);
    fs_write(empty, "", 0, &error);
    fs_write(sound, wav, sizeof wav, &error);
    refused("text", text, limits, "opening");
    refused("empty", empty, limits, "opening");
    refused("sound", sound, limits, "no video stream");
    refused("missing", "/nowhere/at/all.mp4", limits, "opening");
    refused("large frames", whole, (struct video_limits){30, 1000}, "more than 1000");
    refused("no time", whole, (struct video_limits){0, 1 << 24}, "took longer than 0 s");
    EXPECT(fs_read(whole, &bytes, &len, &error) == 0, "%s", error.text);
    fs_write(cut, bytes, len * 6 / 10, &error);
    struct video *v = open_or_fail(cut);
    int64_t frames = video_info(v)->frames;
    EXPECT(frames > FRAMES / 3 && frames < FRAMES, "%ld frames of a cut file", (long)frames);
    struct image p[2];
    EXPECT(video_read(v, (int64_t[]){0, frames - 2}, 2, p, &error) == 0, "%s", error.text);
    for (int i = 0; i < 2 && !error.code; i++) image_free(&p[i]);
    video_close(v);
    free(bytes), free(text), free(empty), free(sound), free(whole), free(cut);
}

/* A port of this machine that nobody should connect to, and the file nobody should open, with who watches it. */
struct watch {
    int socket, port, opens;
    char *file;
};

static struct watch watch_open(void)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof here;
    struct watch w = {.socket = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), .opens = inotify_init1(IN_NONBLOCK)};
    w.file = make(&(struct clip){"named.ts", "mpeg2video", AV_PIX_FMT_YUV420P, 10, 0, 6, false, 0, false});
    struct sockaddr *address = (struct sockaddr *)&here;
    bool listens = !bind(w.socket, address, len) && !listen(w.socket, 8) && !getsockname(w.socket, address, &len);
    EXPECT(listens && inotify_add_watch(w.opens, w.file, IN_OPEN) >= 0, "nothing to watch with");
    w.port = ntohs(here.sin_port);
    return w;
}

static void watch_close(struct watch *w)
{
    char event[4096];
    EXPECT(read(w->opens, event, sizeof event) < 0, "%s was opened", w->file);
    EXPECT(accept(w->socket, NULL, NULL) < 0, "port %d got a connection", w->port);
    close(w->socket);
    close(w->opens);
    free(w->file);
}

/* What leads away from a file: `before`, the path or the address of the watch, `after`. */
struct lead {
    const char *before;
    bool host;
    const char *after;
};

static char *lead_text(const struct lead *l, const struct watch *w)
{
    struct str text = {0};
    str_puts(&text, l->before);
    if (l->host)
        str_printf(&text, "127.0.0.1:%d", w->port);
    else
        str_puts(&text, w->file);
    str_puts(&text, l->after);
    return str_steal(&text);
}

/* Such a text in a file of that name: refused from the disk and from memory. */
static void refers(const char *name, const char *text)
{
    struct error error = {0}, again = {0};
    struct video *v = NULL;
    char *path = fs_join(test_folder(), name);
    EXPECT(fs_write(path, text, strlen(text), &error) == 0, "%s", error.text);
    EXPECT(video_open(&v, path, limits, &error) < 0 && strstr(error.text, path), "%s: %s: %s", name, text, error.text);
    int rc = video_open_bytes(&v, name, (const uint8_t *)text, strlen(text), limits, &again);
    EXPECT(rc < 0, "%s: %s: from memory", name, text);
    free(path);
}

static void playlists(void)
{
    static const struct lead leads[] = {
        {"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n", false, "\n#EXT-X-ENDLIST\n"},
        {"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://", false, "\n#EXT-X-ENDLIST\n"},
        {"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://", true, "/a.ts\n#EXT-X-ENDLIST\n"},
        {"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://", true, "/a.m3u8\n"},
        {"ffconcat version 1.0\nfile '", false, "'\n"},
        {"ffconcat version 1.0\nfile 'http://", true, "/a.ts'\n"},
        {"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\na=control:rtsp://", true,
         "/a\nm=video 0 RTP/AVP 33\n"},
        {"<?xml version=\"1.0\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" "
         "mediaPresentationDuration=\"PT2S\" profiles=\"urn:mpeg:dash:profile:isoff-on-demand:2011\">"
         "<Period><AdaptationSet mimeType=\"video/mp4\"><Representation id=\"1\"><BaseURL>http://",
         true, "/a.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>\n"},
        {"[Reference]\nRef1=http://", true, "/a.asf\n"},
        {"RTSPtextrtsp://", true, "/a\r\n"},
    };
    static const char *const names[] = {"list.mp4", "list.m3u8", "list.ts", "list.sdp", "list%03d.jpg"};
    struct watch w = watch_open();
    for (size_t i = 0; i < sizeof leads / sizeof *leads; i++) {
        char *text = lead_text(&leads[i], &w);
        for (size_t n = 0; n < sizeof names / sizeof *names; n++) refers(names[n], text);
        free(text);
    }
    watch_close(&w);
}

/* Names that FFmpeg takes for something else than a path. */
static void protocols(void)
{
    static const struct lead leads[] = {{"concat:", false, ""}, {"subfile,,start,0,end,0,,:", false, ""},
                                        {"file:", false, ""},   {"crypto:", false, ""},
                                        {"cache:", false, ""},  {"http://", true, "/a.mp4"},
                                        {"tcp://", true, ""}};
    struct watch w = watch_open();
    for (size_t i = 0; i < sizeof leads / sizeof *leads; i++) {
        char *name = lead_text(&leads[i], &w);
        refused("protocol", name, limits, "opening: No such file");
        free(name);
    }
    watch_close(&w);
}

static void add_to_size(char *box, uint32_t more)
{
    uint32_t size;
    memcpy(&size, box - 4, 4);
    size = htonl(ntohl(size) + more);
    memcpy(box - 4, &size, 4);
}

/* A film whose data reference is an alias of another file.  `moov` is the last box: what grows moves nothing else. */
static void data_reference(void)
{
    static const char *const around[] = {"moov", "trak", "mdia", "minf", "dinf", "dref"};
    enum { FIXED = 162, URL = 12 }; /* bytes of an alias before its items, and of the entry it replaces */
    struct watch w = watch_open();
    struct error error = {0};
    struct video *v = NULL;
    char *path = make(&(struct clip){"refers.mov", "mjpeg", AV_PIX_FMT_YUVJ420P, 1, 0, 3, false, 0, true}), *bytes;
    size_t len, name = strlen(w.file), grown = FIXED + 4 + (name + 1) / 2 * 2 + 4;
    EXPECT(fs_read(path, &bytes, &len, &error) == 0, "%s", error.text);
    char *all = mem_zalloc(len + grown, 1), *dref = memmem(bytes, len, "dref", 4);
    size_t place = (size_t)(dref - bytes) + 12; /* after version, flags and the count of entries */
    memcpy(all, bytes, place);
    memcpy(all + place + grown, bytes + place + URL, len - place - URL);
    for (size_t i = 0; i < sizeof around / sizeof *around; i++)
        add_to_size(memmem(all, len, around[i], 4), (uint32_t)(grown - URL));
    all[place + 2] = (char)(grown >> 8), all[place + 3] = (char)grown;
    memcpy(all + place + 4, "alis", 4);
    char *item = all + place + FIXED; /* type 2: the path */
    item[1] = 2, item[3] = (char)name;
    memcpy(item + 4, w.file, name);
    memset(item + 4 + (name + 1) / 2 * 2, 0xff, 4);
    EXPECT(fs_write(path, all, len + grown - URL, &error) == 0, "%s", error.text);
    EXPECT(video_open(&v, path, limits, &error) < 0, "a film of another file's frames opens");
    watch_close(&w);
    free(all), free(bytes), free(path);
}

static void names(void)
{
    EXPECT(video_is_name("a.MP4") && video_is_name("b.webm") && !video_is_name("mp4") && !video_is_name("a.jpg") &&
               !video_is_name(".mp4"),
           "names");
}

int main(int argc, char **argv)
{
    av_log_set_level(AV_LOG_QUIET);
    return test_main(argc, argv,
                     (struct test[]){{"video_codecs", codecs},
                                     {"video_of_variable_rate", variable_rate},
                                     {"video_turned", turned},
                                     {"video_at_a_rate", rate},
                                     {"video_spliced", spliced},
                                     {"video_bad_files", bad_files},
                                     {"video_playlists_are_refused", playlists},
                                     {"video_protocols_are_refused", protocols},
                                     {"video_data_reference_is_refused", data_reference},
                                     {"video_names", names},
                                     {0}});
}
