/* Launching kernels as host code; see README.md. */
#ifndef TEST_EMULATOR_EMULATOR_H
#define TEST_EMULATOR_EMULATOR_H

#include <functional>
#include <tuple>

/* Run `body` once for each thread of each block, now. */
void emulator_run(unsigned blocks, unsigned threads, size_t shared, const std::function<void()> &body);
/* Append to what a stream has to do. */
void emulator_enqueue(cudaStream_t stream, std::function<void()> work);
float *emulator_shared(void);

template <typename... P, typename... A>
void emulator_launch(cudaStream_t stream, unsigned blocks, unsigned threads, size_t shared, void (*kernel)(P...),
                     A... arguments)
{
    std::tuple<P...> values(arguments...);
    emulator_enqueue(stream, [=] { emulator_run(blocks, threads, shared, [&] { std::apply(kernel, values); }); });
}

#define LAUNCH(d, kernel, blocks, threads, shared, ...) \
    do { \
        if (!(d)->planning && (blocks) > 0) \
            emulator_launch(state_of(d)->stream, (unsigned)(blocks), (threads), (shared), kernel, __VA_ARGS__); \
    } while (0)
#define SHARED_FLOATS(name) float *name = emulator_shared()

#endif
