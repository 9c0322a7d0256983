package stage

import "golang.org/x/sys/unix"

// CloseMemory keeps the memory of this process, which holds the job key and
// mostly a session, out of core dumps and from other processes of the same
// user: they can neither trace it nor read its environment under /proc. The
// kernel undoes it for the programs that this one starts. It is one more wall,
// not the only one, so a kernel that refuses is no reason to fail.
func CloseMemory() { _ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }
