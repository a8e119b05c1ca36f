/* Files and folders.  Paths are plain strings with '/'; every failure names the path and the system's reason. */
#ifndef BASE_FS_H
#define BASE_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* "folder/name" in memory the caller frees. */
char *fs_join(const char *folder, const char *name);
/* The last part of a path, without slashes that end it; the caller frees. */
char *fs_last(const char *path);

bool fs_exists(const char *path);
bool fs_is_folder(const char *path);
bool fs_same(const char *a, const char *b); /* both are there, and are one file or folder, by whatever paths */
int64_t fs_size(const char *path);          /* bytes, -1 when it cannot be read */

/* Whole file; *bytes is the caller's to free and has a 0 after its *len bytes. */
int fs_read(const char *path, char **bytes, size_t *len, struct error *error);

/* Write aside (path.tmp), fsync, rename: a reader sees the old file or the whole new one. */
int fs_write(const char *path, const void *bytes, size_t len, struct error *error);

int fs_make_folders(const char *path, struct error *error);           /* mkdir -p */
int fs_rename(const char *from, const char *to, struct error *error); /* and fsync of the folder that holds `to` */
int fs_sync(const char *path, struct error *error);                   /* fsync of a file or folder */
int fs_remove_tree(const char *path, struct error *error);            /* rm -r; a missing path is fine */

/* A read-only map of a file; len 0 gives bytes NULL. */
struct fs_map {
    const unsigned char *bytes;
    size_t len;
};
int fs_map(const char *path, struct fs_map *map, struct error *error);
void fs_unmap(struct fs_map *map);
int fs_checksum(const char *path, uint64_t *checksum, struct error *error); /* XXH3-64 of the file's bytes */

/* Names in a folder (without . and ..), sorted by their bytes. */
struct fs_list {
    char **names;
    size_t count;
};
int fs_list(const char *folder, struct fs_list *list, struct error *error);
void fs_list_free(struct fs_list *list);

#endif
