/* Files and folders over POSIX calls. */
#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/memory.h"
#include "base/str.h"

char *fs_join(const char *folder, const char *name)
{
    struct str path = {0};
    str_printf(&path, "%s%s%s", folder, *folder && !str_ends_with(folder, "/") ? "/" : "", name);
    return str_steal(&path);
}

char *fs_last(const char *path)
{
    size_t end = strlen(path), begin;
    while (end > 1 && path[end - 1] == '/') end--;
    for (begin = end; begin > 0 && path[begin - 1] != '/';) begin--;
    return strndup(path + begin, end - begin);
}

bool fs_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool fs_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool fs_same(const char *a, const char *b)
{
    struct stat one, other;
    return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

int64_t fs_size(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? (int64_t)info.st_size : -1;
}

int fs_read(const char *path, char **bytes, size_t *len, struct error *error)
{
    FILE *file = fopen(path, "rb");
    if (!file) return error_set(error, ERROR_FAILED, "%s: %s", path, strerror(errno));
    struct str all = {0};
    char block[65536];
    size_t got;
    errno = 0;
    while ((got = fread(block, 1, sizeof block, file)) > 0) str_append(&all, block, got);
    int failed = ferror(file);
    int cause = errno;
    fclose(file);
    if (failed) {
        str_free(&all);
        return error_set(error, ERROR_FAILED, "%s: %s", path, strerror(cause ? cause : EIO));
    }
    *len = all.len;
    *bytes = str_steal(&all);
    return 0;
}

static int write_all(int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t wrote = write(fd, bytes, len);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) return -1;
        bytes += wrote;
        len -= (size_t)wrote;
    }
    return 0;
}

int fs_write(const char *path, const void *bytes, size_t len, struct error *error)
{
    struct str aside = {0};
    str_printf(&aside, "%s.tmp", path);
    int fd = open(aside.data, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd < 0) goto failed;
    if (write_all(fd, bytes, len) < 0 || fsync(fd) < 0) {
        int cause = errno;
        close(fd);
        unlink(aside.data);
        errno = cause;
        goto failed;
    }
    if (close(fd) < 0) goto failed;
    int rc = fs_rename(aside.data, path, error);
    str_free(&aside);
    return rc;
failed:
    error_set(error, ERROR_FAILED, "%s: cannot write: %s", path, strerror(errno));
    str_free(&aside);
    return -1;
}

int fs_make_folders(const char *path, struct error *error)
{
    char *copy = mem_strdup(path);
    int rc = 0;
    for (char *slash = copy + 1; rc == 0 && *copy; slash++) {
        if (*slash && *slash != '/') continue;
        char keep = *slash;
        *slash = 0;
        if (mkdir(copy, 0777) < 0 && errno != EEXIST)
            rc = error_set(error, ERROR_FAILED, "%s: cannot make folder: %s", copy, strerror(errno));
        *slash = keep;
        if (!keep) break;
    }
    free(copy);
    if (rc == 0 && !fs_is_folder(path)) rc = error_set(error, ERROR_FAILED, "%s: exists and is not a folder", path);
    return rc;
}

int fs_sync(const char *path, struct error *error)
{
    int fd = open(path, O_RDONLY);
    if (fd < 0) return error_set(error, ERROR_FAILED, "%s: %s", path, strerror(errno));
    int rc = fsync(fd);
    int cause = errno;
    close(fd);
    if (rc < 0 && cause != EINVAL) return error_set(error, ERROR_FAILED, "%s: fsync: %s", path, strerror(cause));
    return 0;
}

int fs_rename(const char *from, const char *to, struct error *error)
{
    if (rename(from, to) < 0)
        return error_set(error, ERROR_FAILED, "%s: cannot rename to %s: %s", from, to, strerror(errno));
    char *folder = mem_strdup(to);
    char *slash = strrchr(folder, '/');
    if (slash) slash[slash == folder] = 0;
    int rc = fs_sync(slash ? folder : ".", error);
    free(folder);
    return rc;
}

int fs_remove_tree(const char *path, struct error *error)
{
    struct stat info;
    if (lstat(path, &info) < 0) {
        if (errno == ENOENT) return 0;
        return error_set(error, ERROR_FAILED, "%s: %s", path, strerror(errno));
    }
    if (S_ISDIR(info.st_mode)) {
        struct fs_list list;
        if (fs_list(path, &list, error) < 0) return -1;
        int rc = 0;
        for (size_t i = 0; i < list.count && rc == 0; i++) {
            char *child = fs_join(path, list.names[i]);
            rc = fs_remove_tree(child, error);
            free(child);
        }
        fs_list_free(&list);
        if (rc < 0) return -1;
    }
    if (remove(path) < 0) return error_set(error, ERROR_FAILED, "%s: cannot remove: %s", path, strerror(errno));
    return 0;
}

int fs_map(const char *path, struct fs_map *map, struct error *error)
{
    int fd = open(path, O_RDONLY);
    struct stat info;
    if (fd < 0 || fstat(fd, &info) < 0) {
        error_set(error, ERROR_FAILED, "%s: %s", path, strerror(errno));
        if (fd >= 0) close(fd);
        return -1;
    }
    struct fs_map out = {.len = (size_t)info.st_size};
    if (out.len) {
        void *bytes = mmap(NULL, out.len, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes == MAP_FAILED) {
            close(fd);
            return error_set(error, ERROR_FAILED, "%s: cannot map: %s", path, strerror(errno));
        }
        out.bytes = bytes;
    }
    close(fd);
    *map = out;
    return 0;
}

void fs_unmap(struct fs_map *map)
{
    if (map->bytes) munmap((void *)(uintptr_t)map->bytes, map->len);
    *map = (struct fs_map){0};
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int fs_list(const char *folder, struct fs_list *list, struct error *error)
{
    DIR *dir = opendir(folder);
    if (!dir) return error_set(error, ERROR_FAILED, "%s: %s", folder, strerror(errno));
    struct fs_list out = {0};
    size_t cap = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        if (out.count == cap) out.names = mem_realloc(out.names, cap = cap ? 2 * cap : 64, sizeof *out.names);
        out.names[out.count++] = mem_strdup(entry->d_name);
    }
    closedir(dir);
    if (out.count) qsort(out.names, out.count, sizeof *out.names, by_bytes);
    *list = out;
    return 0;
}

void fs_list_free(struct fs_list *list)
{
    for (size_t i = 0; i < list->count; i++) free(list->names[i]);
    free(list->names);
    *list = (struct fs_list){0};
}

int fs_checksum(const char *path, uint64_t *checksum, struct error *error)
{
    struct fs_map map = {0};
    if (fs_map(path, &map, error) < 0) return -1;
    *checksum = XXH3_64bits(map.bytes, map.len);
    fs_unmap(&map);
    return 0;
}
