"""8 uniform frames of a clip as 224x224 RGB, one thread; prints clips/s (median).  peer_video.py FILE REPEATS pyav|decord"""
import sys, time

path, repeats, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
if kind == "pyav":
    import av, cv2

    def read():
        with av.open(path) as file:
            stream = file.streams.video[0]
            stream.codec_context.thread_count = 1
            count = stream.frames
            wanted = {i * (count - 1) // 7 for i in range(8)}
            return [cv2.resize(f.to_ndarray(format="rgb24"), (224, 224), interpolation=cv2.INTER_AREA) for i, f in enumerate(file.decode(stream)) if i in wanted]
else:
    import decord

    def read():
        reader = decord.VideoReader(path, width=224, height=224, num_threads=1)
        return reader.get_batch([i * (len(reader) - 1) // 7 for i in range(8)]).asnumpy()

seconds = []
for _ in range(repeats):
    start = time.perf_counter()
    assert len(read()) == 8
    seconds.append(time.perf_counter() - start)
print(f"{1 / sorted(seconds)[repeats // 2]:.2f}")
