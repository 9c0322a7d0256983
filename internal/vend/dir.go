package vend

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// tmp is where the directories are: every user gets through it, nobody but
// their owner can rename what lies in it, and its name is short enough for a
// socket's (107 bytes).
const tmp = "/tmp"

// Dir names a new directory for a socket of the job whose lease this is. Nobody
// can guess it, and so nobody can have put something in its place.
func Dir(leaseID string) string {
	return filepath.Join(tmp, prefix(leaseID)+rand.Text()[:12])
}

// prefix is a digest: the lease's id is no business of jobs.
func prefix(leaseID string) string {
	sum := sha256.Sum256([]byte("envrole credentials\x00" + leaseID))
	return "envrole-creds-" + hex.EncodeToString(sum[:10]) + "-"
}

// Sweep removes the directories that a killed run stage of the job left. Only
// this process's own are touched.
func Sweep(leaseID string) error {
	left, err := filepath.Glob(filepath.Join(tmp, prefix(leaseID)+"*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range left {
		info, err := os.Lstat(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && info.IsDir() && int(st.Uid) == os.Geteuid() {
			errs = append(errs, os.RemoveAll(dir))
		}
	}
	return errors.Join(errs...)
}
