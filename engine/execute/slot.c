#include "execute/slot.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The layout is read by another process: a lock hidden in an atomic would not be shared with it. */
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2, "the slot needs lock-free atomics");

static mg_err map(mg_slot **out, int fd, mg_error *e) {
  void *p = mmap(NULL, sizeof(mg_slot), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (p == MAP_FAILED) return mg_fail_errno(e, MG_FATAL, errno, "cannot map the executor's shared memory (%zu bytes)", sizeof(mg_slot));
  *out = p;
  return MG_OK;
}

mg_err mg_slot_create(mg_slot **out, int *fd, mg_error *e) {
  int f = memfd_create("mguard-slot", MFD_CLOEXEC);
  if (f < 0) return mg_fail_errno(e, MG_FATAL, errno, "cannot make the executor's shared memory");
  mg_err rc = MG_OK;
  if (ftruncate(f, (off_t)sizeof(mg_slot)) != 0) {
    rc = mg_fail_errno(e, MG_FATAL, errno, "cannot make the executor's shared memory (%zu bytes)", sizeof(mg_slot));
    goto out;
  }
  rc = map(out, f, e);
out:
  if (rc == MG_OK) {
    *fd = f;
  } else {
    (void)close(f);
  }
  return rc;
}

mg_err mg_slot_map(mg_slot **out, int fd, mg_error *e) {
  struct stat st;
  if (fstat(fd, &st) != 0) return mg_fail_errno(e, MG_FATAL, errno, "descriptor %d is no executor slot", fd);
  if (st.st_size != (off_t)sizeof(mg_slot)) {
    return mg_fail(e, MG_FATAL, "descriptor %d is no executor slot: %lld bytes instead of %zu", fd, (long long)st.st_size, sizeof(mg_slot));
  }
  return map(out, fd, e);
}

void mg_slot_unmap(mg_slot *s) {
  if (s != NULL) (void)munmap(s, sizeof(mg_slot));
}
