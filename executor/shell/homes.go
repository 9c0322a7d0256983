package shell

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"envrole/roles/fault"
)

// markerLength is that of Plan.marker.
const markerLength = 20

// What lies in a job's own directory.
const (
	homeName   = "home"
	tmpName    = "tmp"
	varTmpName = "var-tmp"
)

// checkHomes refuses directories that a job could not reach.
func checkHomes(o Options, isolated bool) error {
	s := o.Settings
	keys := map[string]string{"homes_dir": s.HomesDir}
	if isolated { // what is not set lies in homes_dir or in the user's home
		keys["builds_dir"], keys["cache_dir"] = s.BuildsDir, s.CacheDir
	}
	closed := []string{o.StateDir}
	if isolated {
		closed = append(closed, "/tmp", "/var/tmp", "/dev/shm", "/run/lock")
	}
	for key, dir := range keys {
		for _, above := range closed {
			if rel, err := filepath.Rel(above, dir); above != "" && dir != "" && err == nil && filepath.IsLocal(rel) {
				return fault.New(fault.Permanent, "keep apart", "jobs in executor.shell."+key+" "+dir,
					fmt.Errorf("it lies in %s, where a job does not see it", above), "Set "+key+" to a directory elsewhere, on a disk with room.")
			}
		}
	}
	return nil
}

// makeJobDir makes the job's own directory in homes_dir: root's, and everybody
// may only pass through it, since names in it cannot be guessed.
func (p Plan) makeJobDir() error {
	if p.JobDir == "" {
		return nil
	}
	homes := filepath.Dir(p.JobDir)
	if err := makeHomes(homes); err != nil {
		return fault.New(fault.Permanent, "make executor.shell.homes_dir", homes, err,
			"Give the directory to root with mode 0711: chown root:root "+homes+" && chmod 0711 "+homes)
	}
	dirs := []string{p.JobDir, filepath.Join(p.JobDir, tmpName)}
	if p.Leased {
		dirs = append(dirs, filepath.Join(p.JobDir, homeName))
	}
	if p.isolated() {
		dirs = append(dirs, filepath.Join(p.JobDir, varTmpName))
	}
	for _, dir := range dirs {
		if err := p.owner().ensureDir(dir); err != nil {
			return err
		}
	}
	return nil
}

func makeHomes(homes string) error {
	if err := os.MkdirAll(filepath.Dir(homes), 0o755); err != nil {
		return err
	}
	err := os.Mkdir(homes, 0o700)
	if err == nil {
		err = os.Chmod(homes, 0o711)
	}
	if err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	info, err := os.Lstat(homes)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || !info.IsDir():
		return errors.New("is not a directory")
	case !trusted(st.Uid) || info.Mode().Perm()&0o066 != 0:
		return fmt.Errorf("belongs to uid %d with mode %04o: jobs could find or replace each other's directories", st.Uid, info.Mode().Perm())
	}
	return nil
}
