package engine

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/client"

	"envrole/executor/docker"
	"envrole/executor/docker/agent"
	"envrole/roles/fault"
)

// programName is the program whose copy is the agent; it is beside this one.
const programName = "envrole-run"

// repository is where the agent's image is in the Engine. The name can be pulled
// from nowhere, so that no job's image can be put in its place.
const repository = "envrole.invalid/agent"

// agentImage is an image of one program.
type agentImage struct {
	layer  []byte // tar
	digest string // of layer
}

// ref names the image after what is in it: an upgrade does not change what a
// running job has.
func (i agentImage) ref() string { return repository + ":" + i.digest[:24] }

// readAgent makes the agent's image of the program beside this one.
func readAgent() (agentImage, error) {
	self, err := os.Executable()
	if err != nil {
		return agentImage{}, fault.New(fault.Internal, "find the agent", programName, err, "")
	}
	path := filepath.Join(filepath.Dir(self), programName)
	program, err := os.ReadFile(path)
	if err != nil {
		return agentImage{}, fault.New(fault.Passing, "read the agent", path, err, "Install all programs of EnvRole into one directory; during an upgrade this passes.")
	}
	if err := static(program); err != nil {
		return agentImage{}, fault.New(fault.Permanent, "use as agent in containers", path, err, "Build it with CGO_ENABLED=0, as `make build` does.")
	}
	return layerOf(program)
}

// static says why a program does not run in every image.
func static(program []byte) error {
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return fmt.Errorf("it is no program of this system: %w", err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return errors.New("it is linked dynamically, and an image need not have its libraries")
		}
	}
	return nil
}

func layerOf(program []byte) (agentImage, error) {
	var b bytes.Buffer
	b.Grow(len(program) + 8<<10)
	w := tar.NewWriter(&b)
	dir := strings.TrimPrefix(agent.Dir, "/")
	for _, h := range []tar.Header{
		{Name: dir + "/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: dir + "/bin/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: dir + "/bin/gitlab-runner", Typeflag: tar.TypeSymlink, Linkname: "../" + programName, Mode: 0o777},
		{Name: dir + "/" + programName, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(program))},
	} {
		if err := w.WriteHeader(&h); err != nil {
			return agentImage{}, err
		}
	}
	if _, err := w.Write(program); err != nil {
		return agentImage{}, err
	}
	if err := w.Close(); err != nil {
		return agentImage{}, err
	}
	sum := sha256.Sum256(b.Bytes())
	return agentImage{layer: b.Bytes(), digest: hex.EncodeToString(sum[:])}, nil
}

// config is the image's configuration as the Engine stores it.
func (i agentImage) config() ([]byte, error) {
	return json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Labels": map[string]string{docker.LabelRole: roleAgent}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + i.digest}},
	})
}

// archive is the image in the form that the Engine loads.
func (i agentImage) archive(w io.Writer) error {
	config, err := i.config()
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]map[string]any{{"Config": "config.json", "RepoTags": []string{i.ref()}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return err
	}
	t := tar.NewWriter(w)
	for _, f := range []struct {
		name string
		data []byte
	}{{"config.json", config}, {"layer.tar", i.layer}, {"manifest.json", manifest}} {
		if err := t.WriteHeader(&tar.Header{Name: f.name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(f.data))}); err != nil {
			return err
		}
		if _, err := t.Write(f.data); err != nil {
			return err
		}
	}
	return t.Close()
}

// ensure gives the id of the agent's image in the Engine, loading it if it is
// not there.
func (i agentImage) ensure(ctx context.Context, a *api) (id string, err error) {
	id, err = i.find(ctx, a)
	if err != nil || id != "" {
		return id, err
	}
	if err := i.load(ctx, a); err != nil {
		return "", err
	}
	id, err = i.find(ctx, a)
	if err == nil && id == "" {
		err = fault.New(fault.Passing, "load image", i.ref(), errors.New("the Engine took it, and does not have it"), "")
	}
	return id, err
}

// find looks the image up. What bears its name must hold exactly the agent's
// layer and nothing that runs or sets anything by itself.
func (i agentImage) find(ctx context.Context, a *api) (id string, err error) {
	err = a.call(ctx, "look for image "+i.ref(), func(ctx context.Context) error {
		got, err := a.ImageInspect(ctx, i.ref())
		if cerrdefs.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		c := got.Config
		if !slices.Equal(got.RootFS.Layers, []string{"sha256:" + i.digest}) || c == nil || len(c.Env)+len(c.Volumes)+len(c.Entrypoint)+len(c.Cmd)+len(c.OnBuild) > 0 || c.User != "" || c.Healthcheck != nil {
			return fault.New(fault.Permanent, "use image", i.ref(), errors.New("it is not the one that this EnvRole makes"), "Remove it: docker image rm "+i.ref())
		}
		id = got.ID
		return nil
	})
	return id, err
}

func (i agentImage) load(ctx context.Context, a *api) error {
	return a.call(ctx, "load image "+i.ref(), func(ctx context.Context) error {
		r, w := io.Pipe()
		go func() { _ = w.CloseWithError(i.archive(w)) }()
		defer func() { _ = r.Close() }()
		answer, err := a.ImageLoad(ctx, r, client.ImageLoadWithQuiet(true))
		if err != nil {
			return err
		}
		defer answer.Close()
		return endOf(answer)
	})
}

// endOf reads messages of the Engine to their end, and gives the error among
// them.
func endOf(r io.Reader) error {
	for d := json.NewDecoder(r); ; {
		var m jsonstream.Message
		switch err := d.Decode(&m); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case m.Error != nil:
			return m.Error
		}
	}
}
