/* Memory of the CPU: the host's own.  What other devices bring over is left where it is. */

static void *map(struct device *d, size_t bytes)
{
    d->mapped += bytes;
    return mem_map(bytes, 1);
}

static void unmap(struct device *d, void *block, size_t bytes)
{
    if (!block) return;
    d->mapped -= bytes;
    mem_unmap(block, bytes, 1);
}

static void *host_map(struct device *d, size_t bytes)
{
    (void)d;
    return mem_map(bytes, 1);
}

static void host_unmap(struct device *d, void *block, size_t bytes)
{
    (void)d;
    mem_unmap(block, bytes, 1);
}

static void upload(struct device *d, void *to, const void *from, size_t bytes)
{
    (void)d;
    if (to != from) memmove(to, from, bytes);
}

static void copy(struct device *d, void *to, const void *from, size_t bytes)
{
    upload(d, to, from, bytes);
}

static void wait_all(struct device *d)
{
    (void)d;
}

static const void *stage(struct device *d, int slot, const void *host, size_t bytes)
{
    (void)d, (void)slot, (void)bytes;
    return host;
}

static void slot_nothing(struct device *d, int slot)
{
    (void)d, (void)slot;
}

static void fetch_begin(struct device *d, int slot, const void *from, size_t bytes)
{
    CHECK(slot >= 0 && slot < FETCH_SLOTS, "slot %d", slot);
    if (d->fetched_bytes[slot] < bytes) d->fetched[slot] = mem_realloc(d->fetched[slot], bytes, 1);
    d->fetched_bytes[slot] = bytes;
    memcpy(d->fetched[slot], from, bytes);
}

static void fetch_end(struct device *d, int slot, void *to)
{
    memcpy(to, d->fetched[slot], d->fetched_bytes[slot]);
}
