package idtoken

// This file keeps the keys on disk. It promises that a reader sees a whole
// cache or none, however many processes write at once, and that only a file of
// this user that nobody else can write is believed.

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	cacheFile = "jwks.json"
	lockFile  = "jwks.lock"
	// tempPrefix begins the names of files that are being written.
	tempPrefix = ".tmp-jwks-"
	// cacheVersion is raised when the form of the file changes; a file of
	// another version is no cache.
	cacheVersion = 1
	maxCache     = 1 << 20
)

// cache is what is on disk. Times are Unix seconds.
type cache struct {
	Version int               `json:"version"`
	Issuer  string            `json:"issuer"`
	Fetched int64             `json:"fetched"` // when Keys were published
	Asked   int64             `json:"asked"`   // when GitLab was asked last, in vain or not
	Failure string            `json:"failure,omitempty"`
	Keys    []json.RawMessage `json:"keys"`
}

// load reads the cache. What cannot be used is as good as none.
func (k *keyring) load() cache {
	var c cache
	raw, err := readOwn(filepath.Join(k.opts.Dir, cacheFile))
	if err != nil || json.Unmarshal(raw, &c) != nil || c.Version != cacheVersion || c.Issuer != k.opts.Issuer {
		return cache{}
	}
	now := k.opts.Now().Unix()
	if c.Fetched > now+int64(leeway.Seconds()) {
		return cache{} // the clock went back: no age can be told
	}
	if c.Asked > now+int64(leeway.Seconds()) {
		c.Asked = 0
	}
	return c
}

func readOwn(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() || info.Mode().Perm()&0o022 != 0 || int(st.Uid) != os.Geteuid() || info.Size() > maxCache {
		return nil, errors.New("not a file that only this user can write")
	}
	return io.ReadAll(io.LimitReader(f, maxCache))
}

// save replaces the cache.
func (k *keyring) save(c cache) error {
	c.Version, c.Issuer = cacheVersion, k.opts.Issuer
	raw, err := json.Marshal(c)
	if err != nil {
		return err
	}
	k.tidy()
	f, err := os.CreateTemp(k.opts.Dir, tempPrefix+"*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(k.opts.Dir, cacheFile))
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// tidy removes what a writer left that was killed between two system calls. An
// hour is far more than a write takes.
func (k *keyring) tidy() {
	old, _ := filepath.Glob(filepath.Join(k.opts.Dir, tempPrefix+"*"))
	for _, path := range old {
		if info, err := os.Lstat(path); err == nil && time.Since(info.ModTime()) > time.Hour {
			_ = os.Remove(path)
		}
	}
}

// lockPause is the time between two tries to take the lock.
const lockPause = 10 * time.Millisecond

// lock keeps other processes from asking for keys at the same time. It only
// spares GitLab; without it nothing is less safe.
func (k *keyring) lock(done <-chan struct{}) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(k.opts.Dir, lockFile), os.O_RDONLY|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) // #nosec G115 -- a descriptor fits
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(err, f.Close())
		}
		t := time.NewTimer(lockPause)
		select {
		case <-done:
			t.Stop()
			return nil, errors.Join(errors.New("another process is asking for them"), f.Close())
		case <-t.C:
		}
	}
}
