package shell

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// detachFUSE takes away the file systems that the user has mounted: FUSE is the
// one kind that a host lets users mount for themselves (fusermount). Their
// servers have ended, and their mount points would be in the way.
func detachFUSE(uid int) error {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("look for the user's mounts: %w", err)
	}
	var errs []error
	for _, point := range fuseOf(string(b), uid) {
		err := unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) { // gone meanwhile
			errs = append(errs, &os.PathError{Op: "unmount", Path: point, Err: err})
		}
	}
	return errors.Join(errs...)
}

// fuseOf gives the mount points of the user's FUSE mounts, the latest first.
// The kernel itself writes user_id: it is who mounted.
func fuseOf(mountinfo string, uid int) []string {
	var points []string
	for line := range strings.Lines(mountinfo) {
		left, right, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		f, super := strings.Fields(left), strings.Fields(right)
		if !ok || len(f) < 5 || len(super) < 3 || !strings.HasPrefix(super[0], "fuse") {
			continue
		}
		if slices.Contains(strings.Split(super[len(super)-1], ","), "user_id="+strconv.Itoa(uid)) {
			points = append(points, unescapeMount(f[4]))
		}
	}
	slices.Reverse(points)
	return points
}

// unescapeMount reads what mountinfo writes of a path: space, tab, line break
// and backslash stand there in octal.
func unescapeMount(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
