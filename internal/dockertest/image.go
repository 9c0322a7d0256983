package dockertest

// This file makes images of this host's programs.

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Image is what goes into an image. Paths are absolute.
type Image struct {
	Files   map[string]File
	Changes []string // "USER ci", `ENTRYPOINT ["/x"]`, "EXPOSE 80", "ENV A=b", "WORKDIR /x", "VOLUME /x"
}

// File is one entry of an image: content of its own, a file of this host, a
// link, or a directory (mode has os.ModeDir).
type File struct {
	Mode     os.FileMode
	Content  string
	From     string // a file of this host, read when the image is made
	Link     string // target of a symbolic link
	UID, GID int
}

// Base is an image with the directories and users every container needs, and no
// program at all: root, and ci with uid and gid 1000.
func Base() Image {
	dir := func(mode os.FileMode) File { return File{Mode: os.ModeDir | mode} }
	return Image{Files: map[string]File{
		"/bin": dir(0o755), "/dev": dir(0o755), "/etc": dir(0o755), "/proc": dir(0o755), "/sys": dir(0o755),
		"/usr": dir(0o755), "/usr/bin": dir(0o755), "/usr/local/bin": dir(0o755), "/sbin": dir(0o755), "/usr/sbin": dir(0o755), "/var": dir(0o755),
		"/root": dir(0o700), "/tmp": dir(0o777 | os.ModeSticky), "/home": dir(0o755),
		"/home/ci":           {Mode: os.ModeDir | 0o755, UID: 1000, GID: 1000},
		"/etc/passwd":        {Mode: 0o644, Content: "root:x:0:0:root:/root:/bin/sh\nci:x:1000:1000::/home/ci:/bin/sh\n"},
		"/etc/group":         {Mode: 0o644, Content: "root:x:0:\nci:x:1000:\n"},
		"/etc/nsswitch.conf": {Mode: 0o644, Content: "passwd: files\ngroup: files\nhosts: files dns\n"},
	}}
}

// Busybox is an image with busybox and all its applets, sh among them, and no
// bash. It needs a static busybox.
func Busybox() Image {
	im := Base()
	const binary = "/bin/busybox"
	im.Files[binary] = File{Mode: 0o755, From: binary}
	applets, err := exec.CommandContext(context.Background(), binary, "--list").Output()
	if err != nil {
		return im // Import says what is wrong with the binary
	}
	for applet := range strings.FieldsSeq(string(applets)) {
		if applet != "busybox" {
			im.Files["/bin/"+applet] = File{Link: binary}
		}
	}
	return im
}

// Full is an image with bash, git and this host's coreutils, as most jobs use
// one, with busybox for the rest.
func Full() Image {
	im := Busybox()
	for _, name := range []string{
		"bash", "git", "cat", "cp", "mv", "rm", "ls", "ln", "mkdir", "rmdir", "chmod", "chown", "id", "env", "sleep", "stat", "touch",
		"head", "tail", "tr", "wc", "sort", "seq", "test", "true", "false", "tee", "date", "sha256sum", "base64", "basename", "dirname", "nohup", "setsid", "grep", "sed", "gzip", "tar", "mktemp", "dd", "du",
	} {
		im.addProgram(name)
	}
	// What git runs by itself; most are one file with git.
	for _, name := range []string{"git-upload-pack", "git-receive-pack", "git-upload-archive"} {
		im.Files["/usr/bin/"+name] = File{Link: "git"}
	}
	for _, name := range []string{"git-remote-http", "git-remote-https", "git-sh-setup", "git-sh-i18n", "git-submodule"} {
		if from := "/usr/lib/git-core/" + name; exists(from) {
			im.Add(from, from)
		}
	}
	im.Files["/usr/lib/git-core/git"] = File{Link: "/usr/bin/git"}
	im.Files["/usr/share/git-core/templates"] = File{Mode: os.ModeDir | 0o755}
	return im
}

// WithProgram is the image with a program of this host more.
func (im Image) WithProgram(name string) Image {
	im = im.With()
	im.addProgram(name)
	return im
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func (im *Image) addProgram(name string) {
	from, err := exec.LookPath(name)
	if err != nil {
		return
	}
	at := "/usr/bin/" + name
	if name == "bash" {
		at = "/bin/bash" // where scripts look for it
		im.Files["/usr/bin/bash"] = File{Link: at}
	}
	delete(im.Files, "/bin/"+name)
	im.Add(at, from)
}

// Add puts a program of this host into the image, with the libraries that it
// is linked with.
func (im *Image) Add(at, from string) {
	im.Files[at] = File{Mode: 0o755, From: from}
	out, err := exec.CommandContext(context.Background(), "ldd", from).Output()
	if err != nil {
		return // static, or a script
	}
	for field := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(field, "/") && exists(field) {
			im.Files[field] = File{Mode: 0o755, From: field}
		}
	}
}

// With is the image with Dockerfile instructions added to its configuration.
func (im Image) With(changes ...string) Image {
	return Image{Files: maps.Clone(im.Files), Changes: append(slices.Clone(im.Changes), changes...)}
}

// WithFile is the image with a file more.
func (im Image) WithFile(name string, f File) Image {
	im = im.With()
	im.Files[name] = f
	return im
}

// Tar writes the image's root file system.
func (im Image) Tar(w io.Writer) error {
	out := tar.NewWriter(w)
	done := map[string]bool{"/": true}
	for _, name := range slices.Sorted(maps.Keys(im.Files)) {
		if err := im.parents(out, path.Dir(name), done); err != nil {
			return err
		}
		if done[name] {
			continue
		}
		done[name] = true
		if err := im.Files[name].write(out, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return out.Close()
}

func (im Image) parents(out *tar.Writer, dir string, done map[string]bool) error {
	if done[dir] {
		return nil
	}
	if err := im.parents(out, path.Dir(dir), done); err != nil {
		return err
	}
	done[dir] = true
	f, ok := im.Files[dir]
	if !ok {
		f = File{Mode: os.ModeDir | 0o755}
	}
	return f.write(out, dir)
}

func (f File) write(out *tar.Writer, name string) error {
	h := &tar.Header{Name: strings.TrimPrefix(name, "/"), Mode: int64(f.Mode.Perm()), Uid: f.UID, Gid: f.GID}
	if f.Mode&os.ModeSticky != 0 {
		h.Mode |= 0o1000
	}
	if f.Mode&os.ModeSetuid != 0 {
		h.Mode |= 0o4000
	}
	content := []byte(f.Content)
	switch {
	case f.Mode.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
		content = nil
	case f.Link != "":
		h.Typeflag, h.Linkname = tar.TypeSymlink, f.Link
		content = nil
	case f.From != "":
		from, err := filepath.EvalSymlinks(f.From)
		if err != nil {
			return err
		}
		if content, err = os.ReadFile(from); err != nil {
			return err
		}
	}
	if h.Typeflag == 0 {
		h.Typeflag, h.Size = tar.TypeReg, int64(len(content))
	}
	if err := out.WriteHeader(h); err != nil {
		return err
	}
	_, err := out.Write(content)
	return err
}

// Import makes the image and gives it a name, "busybox:latest" for example. A
// name that this daemon was given before is not made again.
func (d *Daemon) Import(tb testing.TB, name string, im Image) {
	tb.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.imported[name] {
		return
	}
	var root bytes.Buffer
	if err := im.Tar(&root); err != nil {
		tb.Fatalf("dockertest: make image %s: %v", name, err)
	}
	repo, tag := name, "latest"
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		repo, tag = name[:i], name[i+1:]
	}
	query := url.Values{"fromSrc": {"-"}, "repo": {repo}, "tag": {tag}, "changes": im.Changes}
	if err := d.importTar(query, &root); err != nil {
		tb.Fatalf("dockertest: import %s: %v", name, err)
	}
	d.imported[name] = true
}

func (d *Daemon) importTar(query url.Values, root io.Reader) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	resp, err := d.Do(ctx, http.MethodPost, "/images/create?"+query.Encode(), root)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	for dec := json.NewDecoder(resp.Body); ; {
		var line struct{ Error, Message string }
		if err := dec.Decode(&line); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if line.Error != "" || line.Message != "" {
			return errors.New(line.Error + line.Message)
		}
	}
}
