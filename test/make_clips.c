/* Make test clips: make_clips FOLDER COUNT [SIZE].  A coloured shape crosses a grey scene in 20 frames of SIZE (64)
 * pixels: NAME.mp4 (MPEG-4 part 2, an encoder every FFmpeg has) with what it shows in NAME.json (title, keywords), and
 * in NAME.txt for all but every fourth, which is left for a captioner. */
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/fs.h"
#include "base/memory.h"
#include "base/rng.h"

enum { FRAMES = 20 };

static const char *const colours[] = {"red", "green", "blue", "yellow"}, *const shapes[] = {"square", "disc", "stripe"},
                         *const ways[] = {"right", "left"};
static const uint8_t paint[4][3] = {{81, 90, 240}, {145, 54, 34}, {41, 240, 110}, {200, 40, 150}}; /* Y, Cb, Cr */

struct scene {
    int size, colour, shape, way, height;
};

static void draw(AVFrame *f, const struct scene *s, int frame)
{
    int travelled = s->size * (frame + 1) / (FRAMES + 2), cx = s->way ? s->size - travelled : travelled,
        r = s->size / 5;
    for (int plane = 0; plane < 3; plane++) {
        int shift = plane > 0;
        for (int y = 0; y < s->size >> shift; y++)
            for (int x = 0; x < s->size >> shift; x++) {
                int dx = (x << shift) - cx, dy = (y << shift) - s->height;
                int in = s->shape == 0   ? abs(dx) < r && abs(dy) < r
                         : s->shape == 1 ? dx * dx + dy * dy < r * r
                                         : abs(dx) < r / 2;
                f->data[plane][y * f->linesize[plane] + x] = (uint8_t)(in      ? paint[s->colour][plane]
                                                                       : plane ? 128
                                                                               : 190 + (x * 7 + y * 3) % 16);
            }
    }
}

static void drain(AVCodecContext *encoder, AVFormatContext *file, AVStream *stream, AVPacket *packet)
{
    while (avcodec_receive_packet(encoder, packet) >= 0) {
        packet->duration = 1;
        av_packet_rescale_ts(packet, encoder->time_base, stream->time_base);
        packet->stream_index = stream->index;
        av_interleaved_write_frame(file, packet);
    }
}

static void film(const char *path, const struct scene *s)
{
    AVFormatContext *file = NULL;
    avformat_alloc_output_context2(&file, NULL, "mp4", path);
    AVStream *stream = avformat_new_stream(file, NULL);
    AVCodecContext *encoder = avcodec_alloc_context3(avcodec_find_encoder(AV_CODEC_ID_MPEG4));
    encoder->width = encoder->height = s->size, encoder->pix_fmt = AV_PIX_FMT_YUV420P,
    encoder->time_base = stream->time_base = (AVRational){1, 10};
    encoder->gop_size = 8, encoder->global_quality = 2 * FF_QP2LAMBDA,
    encoder->flags |= AV_CODEC_FLAG_QSCALE | AV_CODEC_FLAG_GLOBAL_HEADER | AV_CODEC_FLAG_BITEXACT;
    encoder->thread_count = 1;
    file->flags |= AVFMT_FLAG_BITEXACT;
    CHECK(avcodec_open2(encoder, NULL, NULL) >= 0, "no MPEG-4 encoder");
    avcodec_parameters_from_context(stream->codecpar, encoder);
    CHECK(avio_open(&file->pb, path, AVIO_FLAG_WRITE) >= 0 && avformat_write_header(file, NULL) >= 0, "cannot write %s",
          path);
    AVFrame *frame = av_frame_alloc();
    AVPacket *packet = av_packet_alloc();
    frame->width = frame->height = s->size, frame->format = AV_PIX_FMT_YUV420P;
    av_frame_get_buffer(frame, 0);
    for (int i = 0; i < FRAMES; i++) {
        av_frame_make_writable(frame);
        draw(frame, s, i);
        frame->pts = i;
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
}

static int write_text(const char *folder, int i, const char *ending, const char *format, const struct scene *s)
{
    char name[64], text[256];
    struct error error = {0};
    snprintf(name, sizeof name, "%04d.%s", i, ending);
    char *path = fs_join(folder, name);
    int n = snprintf(text, sizeof text, format, colours[s->colour], shapes[s->shape], ways[s->way]),
        rc = fs_write(path, text, (size_t)n, &error);
    free(path);
    return rc;
}

int main(int argc, char **argv)
{
    struct error error = {0};
    int count = argc > 2 ? atoi(argv[2]) : 0, size = argc > 3 ? atoi(argv[3]) : 64;
    if (!count || size < 32 || size % 2 || fs_make_folders(argv[1], &error) < 0) return 1;
    for (int i = 0; i < count; i++) {
        struct rng rng = rng_open(6, RNG_TEST, (uint64_t)i, 0);
        struct scene s = {size, (int)rng_below(&rng, 4), (int)rng_below(&rng, 3), (int)rng_below(&rng, 2),
                          size / 3 + (int)rng_below(&rng, (uint64_t)size / 3)};
        char name[64];
        snprintf(name, sizeof name, "%04d.mp4", i);
        char *path = fs_join(argv[1], name);
        film(path, &s);
        free(path);
        if (i % 4 != 3 && write_text(argv[1], i, "txt", "a %s %s moves %s\n", &s) < 0) return 1;
        if (write_text(argv[1], i, "json",
                       "{\"description\": \"%s %s, filmed from the side\", \"keywords\": [\"shape\", \"%s\"]}\n",
                       &s) < 0)
            return 1;
    }
    return 0;
}
