/* video make FILE          a clip of 10 s, 640x360, 25 frames/s, H.264 at crf 23 with x264's own settings: moving bars
 * and noise video read FILE REPEATS  8 uniform frames as 224x224 RGB, on one thread; prints clips/s (median) */
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/rng.h"
#include "data/resize.h"
#include "data/video.h"

enum { WIDTH = 640, HEIGHT = 360, FRAMES = 250, TAKEN = 8, SIDE = 224 };

static void write_packets(AVCodecContext *encoder, AVFormatContext *file, AVPacket *packet)
{
    while (avcodec_receive_packet(encoder, packet) >= 0) {
        packet->duration = 1;
        av_packet_rescale_ts(packet, encoder->time_base, file->streams[0]->time_base);
        av_interleaved_write_frame(file, packet);
    }
}

static void draw(AVFrame *f, int n, const uint8_t *noise)
{
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            f->data[0][y * f->linesize[0] + x] = (uint8_t)(40 + ((x + 3 * n) / 40 % 2) * 60 + ((y + n) / 30 % 2) * 50 +
                                                           noise[((y + 2 * n) % HEIGHT) * WIDTH + (x + n) % WIDTH]);
    for (int p = 1; p < 3; p++)
        for (int y = 0; y < HEIGHT / 2; y++)
            for (int x = 0; x < WIDTH / 2; x++)
                f->data[p][y * f->linesize[p] + x] = (uint8_t)(90 + (x * p + n) / 20 % 8 * 9);
}

static int make(const char *path)
{
    AVFormatContext *file = NULL;
    const AVCodec *codec = avcodec_find_encoder_by_name("libx264");
    if (!codec || avformat_alloc_output_context2(&file, NULL, NULL, path) < 0) return 1;
    AVStream *stream = avformat_new_stream(file, NULL);
    AVCodecContext *encoder = avcodec_alloc_context3(codec);
    encoder->width = WIDTH, encoder->height = HEIGHT, encoder->pix_fmt = AV_PIX_FMT_YUV420P,
    encoder->time_base = (AVRational){1, 25};
    encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    av_opt_set(encoder->priv_data, "crf", "23", 0);
    if (avcodec_open2(encoder, codec, NULL) < 0) return 1;
    avcodec_parameters_from_context(stream->codecpar, encoder);
    if (avio_open(&file->pb, path, AVIO_FLAG_WRITE) < 0 || avformat_write_header(file, NULL) < 0) return 1;
    uint8_t *noise = mem_alloc(WIDTH * HEIGHT, 1);
    struct rng rng = rng_open(1, RNG_TEST, 0, 0);
    for (int i = 0; i < WIDTH * HEIGHT; i++) noise[i] = (uint8_t)rng_below(&rng, 24);
    AVFrame *frame = av_frame_alloc();
    AVPacket *packet = av_packet_alloc();
    frame->width = WIDTH, frame->height = HEIGHT, frame->format = AV_PIX_FMT_YUV420P;
    av_frame_get_buffer(frame, 0);
    for (int n = 0; n <= FRAMES; n++) {
        if (n < FRAMES) {
            av_frame_make_writable(frame);
            draw(frame, n, noise);
            frame->pts = n;
        }
        avcodec_send_frame(encoder, n < FRAMES ? frame : NULL);
        write_packets(encoder, file, packet);
    }
    av_write_trailer(file);
    avio_closep(&file->pb);
    return 0;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "make")) return make(argv[2]);
    if (argc != 4 || strcmp(argv[1], "read")) return 2;
    int repeats = atoi(argv[3]);
    double *seconds = mem_alloc((size_t)repeats, sizeof *seconds);
    uint8_t *out = mem_alloc(SIDE * SIDE, 3);
    struct error error = {0};
    for (int r = 0; r < repeats; r++) {
        double start = clock_seconds();
        struct video *v;
        struct image pictures[TAKEN];
        int64_t which[TAKEN];
        if (video_open(&v, argv[2], (struct video_limits){60, 1 << 24}, &error) < 0) break;
        video_uniform(VIDEO_SPAN, video_info(v)->frames, TAKEN, which);
        if (video_read(v, which, TAKEN, pictures, &error) < 0) break;
        for (int i = 0; i < TAKEN; i++) {
            resize_image(&pictures[i], out, SIDE, SIDE);
            image_free(&pictures[i]);
        }
        video_close(v);
        seconds[r] = clock_seconds() - start;
    }
    if (error.code) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    qsort(seconds, (size_t)repeats, sizeof *seconds, ascending);
    printf("%.2f\n", 1 / seconds[repeats / 2]);
    return 0;
}
