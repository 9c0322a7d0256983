package engine

// This file settles whose the files are that a job's scripts make: whoever has
// the number of that user can change them, whatever the name.

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

const (
	// passwd is where an image's users are; the Engine reads the same file.
	passwd    = "/etc/passwd"
	maxPasswd = 4 << 20
	maxLinks  = 8
)

// ownerPart is the part of a volume's name that stands for the user who owns
// what lies there; none for root. Groups do not count.
func (e *Engine) ownerPart(ctx context.Context, a *api, job image) (string, error) {
	user := e.plan.Image.User
	if user == "" {
		user = job.user
	}
	user, _, _ = strings.Cut(user, ":")
	if user == "" || user == "root" {
		return "", nil
	}
	number, err := strconv.ParseUint(user, 10, 31)
	if err != nil {
		if number, err = e.numberOf(ctx, a, job, user); errors.Is(err, errNoUser) {
			// Where the Engine knows better than this, one image's alone.
			sum := sha256.Sum256([]byte(user + "\x00" + job.id))
			return "-d-" + hex.EncodeToString(sum[:8]), nil
		}
	}
	if err != nil || number == 0 {
		return "", err
	}
	return "-u-" + strconv.FormatUint(number, 10), nil
}

var errNoUser = errors.New("the image does not say who that is")

// numberOf is the number of a user in an image. For that a container is made,
// and not started: an image cannot be looked into otherwise.
func (e *Engine) numberOf(ctx context.Context, a *api, job image, user string) (number uint64, err error) {
	name := e.plan.ContainerName(roleUsers, 0)
	err = a.make(ctx, "create container "+name, func(ctx context.Context) error {
		_, err := a.ContainerCreate(ctx, client.ContainerCreateOptions{
			Name: name, Platform: platform(e.plan.Image.Platform), HostConfig: &container.HostConfig{NetworkMode: "none"},
			Config: &container.Config{Image: job.id, Entrypoint: []string{"/never"}, Labels: e.plan.Labels(roleUsers)},
		})
		return err
	})
	if err != nil {
		return 0, err
	}
	unknown := false
	err = a.call(ctx, "look for users in image "+job.name, func(ctx context.Context) (err error) {
		file := passwd
		for range maxLinks {
			var link string
			if number, link, err = a.lookUp(ctx, name, file, user); err != nil || link == "" {
				break
			}
			if !path.IsAbs(link) {
				link = path.Join(path.Dir(file), link)
			}
			file, err = link, errNoUser // with the last of them
		}
		if unknown = errors.Is(err, errNoUser); unknown {
			return nil // it is no fault of the Engine's
		}
		return err
	})
	if err != nil {
		return 0, err // cleanup removes the container
	}
	err = a.make(ctx, "remove container "+name, func(ctx context.Context) error {
		_, err := a.ContainerRemove(ctx, name, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		return err
	})
	if err == nil && unknown {
		err = errNoUser
	}
	return number, err
}

// lookUp looks for a user in a file of a container, or says where that leads.
func (a *api) lookUp(ctx context.Context, name, file, user string) (number uint64, link string, err error) {
	got, err := a.CopyFromContainer(ctx, name, client.CopyFromContainerOptions{SourcePath: file})
	if gone(err) {
		return 0, "", errNoUser
	}
	if err != nil {
		return 0, "", err
	}
	defer got.Content.Close()
	t := tar.NewReader(got.Content)
	head, err := t.Next()
	switch {
	case err != nil:
		return 0, "", fmt.Errorf("read %s of the image: %w", file, err)
	case head.Typeflag == tar.TypeSymlink:
		return 0, head.Linkname, nil
	case head.Typeflag != tar.TypeReg || head.Size > maxPasswd:
		return 0, "", errNoUser
	}
	number, err = numberIn(t, user)
	return number, "", err
}

// numberIn reads passwd(5) as the Engine does: the first entry of the name counts.
func numberIn(r io.Reader, user string) (uint64, error) {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		fields := strings.Split(strings.TrimSpace(lines.Text()), ":")
		if fields[0] != user || len(fields) < 3 {
			continue
		}
		number, err := strconv.ParseUint(fields[2], 10, 31)
		if err != nil {
			return 0, errNoUser
		}
		return number, nil
	}
	return 0, errNoUser
}
