package shell

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxDetachRounds bounds how often the user's mounts are looked for anew: one
// may be out of reach below another, or be renamed meanwhile.
const maxDetachRounds = 16

// fuseMount is one line of mountinfo.
type fuseMount struct {
	id    int
	point string
}

// detachFUSE takes away the file systems that the user has mounted: FUSE is the
// one kind that a host lets users mount for themselves (fusermount). Their
// servers have ended, and their mount points would be in the way.
func detachFUSE(uid int) error {
	var errs []error
	for range maxDetachRounds {
		b, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			return fmt.Errorf("look for the user's mounts: %w", err)
		}
		mounts := fuseOf(string(b), uid)
		if len(mounts) == 0 {
			return nil
		}
		errs = nil
		for _, m := range mounts {
			if err := m.detach(); err != nil {
				errs = append(errs, &os.PathError{Op: "unmount", Path: m.point, Err: err})
			}
		}
	}
	return errors.Join(append(errs, errors.New("file systems of the user are mounted again and again"))...)
}

// detach unmounts this mount and no other: a path that leads through a job's
// directories may lead elsewhere by the time that it is used.
func (m fuseMount) detach() error {
	fd, err := openNoLink(m.point)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	id, err := mountOf(fd)
	if err != nil {
		return err
	}
	if id != m.id {
		return errors.New("something else is there now")
	}
	return unix.Unmount(fdPath(fd), unix.MNT_DETACH)
}

// openNoLink opens a path for its place alone. No part of it may be a link.
func openNoLink(name string) (int, error) {
	dir, err := unix.Open("/", pathOnly|unix.O_DIRECTORY, 0)
	if err != nil {
		return -1, err
	}
	names := strings.Split(strings.Trim(path.Clean(name), "/"), "/")
	for i, name := range names {
		flags := pathOnly
		if i < len(names)-1 {
			flags |= unix.O_DIRECTORY // not a link to one
		}
		next, err := unix.Openat(dir, name, flags, 0)
		_ = unix.Close(dir)
		if err != nil {
			return -1, err
		}
		dir = next
	}
	return dir, nil
}

// mountOf is the id of the mount that an open file lies in.
func mountOf(fd int) (int, error) {
	b, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(fd))
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(b), "mnt_id:")
	line, _, _ := strings.Cut(rest, "\n")
	id, err := strconv.Atoi(strings.TrimSpace(line))
	if !ok || err != nil {
		return 0, errors.New("the kernel does not say in which mount it lies")
	}
	return id, nil
}

// fuseOf gives the user's FUSE mounts, the latest first. The kernel itself
// writes user_id: it is who mounted.
func fuseOf(mountinfo string, uid int) []fuseMount {
	var mounts []fuseMount
	for line := range strings.Lines(mountinfo) {
		left, right, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		f, super := strings.Fields(left), strings.Fields(right)
		if !ok || len(f) < 5 || len(super) < 3 || !strings.HasPrefix(super[0], "fuse") {
			continue
		}
		id, err := strconv.Atoi(f[0])
		if err == nil && slices.Contains(strings.Split(super[len(super)-1], ","), "user_id="+strconv.Itoa(uid)) {
			mounts = append(mounts, fuseMount{id, unescapeMount(f[4])})
		}
	}
	slices.Reverse(mounts)
	return mounts
}

// unescapeMount reads what mountinfo writes of a path: space, tab, line break
// and backslash stand there in octal.
func unescapeMount(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
