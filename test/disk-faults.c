// A disk that does not do what it is told, for the process that this is preloaded into and for files under $STRONGROOM_FAULTY_FOLDER alone; where
// $STRONGROOM_FAULTY_NAME is set, for those of them alone that have it in their path.
// The first byte of $STRONGROOM_FAULTY_MODE, a file that is mapped, says how it fails now:
//   0 not at all · f what should be synced is written and reported as failed · w nothing is written · t half is written, then the disk is full
//   s half is written, which is no error · r read-only

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

static const char *folder;
static const char *name;
static volatile char *mode;

__attribute__((constructor)) static void begin(void) {
  folder = getenv("STRONGROOM_FAULTY_FOLDER");
  name = getenv("STRONGROOM_FAULTY_NAME");
  const char *file = getenv("STRONGROOM_FAULTY_MODE");
  if (folder == NULL || file == NULL) return;
  int fd = open(file, O_RDONLY);
  if (fd < 0) return;
  void *mapped = mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0);
  if (mapped != MAP_FAILED) mode = mapped;
}

static char now(int fd) {
  if (mode == NULL || *mode == '0') return '0';
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return '0';
  path[length] = 0;
  if (strncmp(path, folder, strlen(folder)) != 0) return '0';
  return name == NULL || strstr(path + strlen(folder), name) != NULL ? *mode : '0';
}

static ssize_t failed(int error) {
  errno = error;
  return -1;
}

#define HALF(n) ((n) > 1 ? (n) / 2 : (n))

#define WRITE(name, given, passed, more)                                              \
  ssize_t name(int fd, const void *bytes, size_t n more given) {                      \
    static ssize_t (*real)(int, const void *, size_t more given);                     \
    if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, #name);                      \
    switch (now(fd)) {                                                                \
      case 'w': return failed(EIO);                                                   \
      case 'r': return failed(EROFS);                                                 \
      case 's': return real(fd, bytes, HALF(n) more passed);                          \
      case 't': real(fd, bytes, HALF(n) more passed); return failed(ENOSPC);          \
      case 'f': {                                                                     \
        ssize_t done = real(fd, bytes, n more passed);                                \
        return (fcntl(fd, F_GETFL) & O_DSYNC) != 0 ? failed(EIO) : done;              \
      }                                                                               \
      default: return real(fd, bytes, n more passed);                                 \
    }                                                                                 \
  }

#define COMMA ,
WRITE(write, , , )
WRITE(pwrite, off_t at, at, COMMA)
WRITE(pwrite64, off64_t at, at, COMMA)

#define SYNC(name)                                                                    \
  int name(int fd) {                                                                  \
    static int (*real)(int);                                                          \
    if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, #name);                      \
    char how = now(fd);                                                               \
    if (how == 'f' || how == 'w') return (int)failed(EIO);                            \
    return real(fd);                                                                  \
  }

SYNC(fsync)
SYNC(fdatasync)

#define TRUNCATE(name, type)                                                          \
  int name(int fd, type length) {                                                     \
    static int (*real)(int, type);                                                    \
    if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, #name);                      \
    char how = now(fd);                                                               \
    if (how == 'r') return (int)failed(EROFS);                                        \
    if (how == 'w') return (int)failed(EIO);                                          \
    return real(fd, length);                                                          \
  }

TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)
